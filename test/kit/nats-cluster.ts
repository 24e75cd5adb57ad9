/** A cluster of real nats-servers with JetStream, each of which a test can end, freeze and start again. */

import { connect, type JetStreamManager } from 'nats';
import { eventually } from './eventually.ts';
import { startNats, type TestNats } from './nats.ts';
import { freePorts } from './ports.ts';

export interface NatsCluster extends AsyncDisposable {
  readonly nodes: readonly TestNats[];
  /** Calls `fn` with the JetStream API over a connection of its own. @throws when no server answers */
  withManager<T>(fn: (manager: JetStreamManager) => Promise<T>): Promise<T>;
  /** The server that leads this stream; undefined while there is none. */
  leaderOf(stream: string): Promise<TestNats | undefined>;
}

const nameOf = (index: number): string => `node-${index}`;
const connectTimeoutMs = 2_000;

/** Resolves when its servers have a leader. The servers do not announce one another to clients. */
export async function startNatsCluster(size: number): Promise<NatsCluster> {
  await using stack = new AsyncDisposableStack();
  const ports = await freePorts(size);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
  const starting = routes.map((route, index) => {
    const own = ['-n', nameOf(index), '--cluster_name', 'test', '--cluster', route, '--no_advertise=true'];
    return startNats({ args: [...own, '--routes', routes.join(',')] });
  });
  for (const result of await Promise.allSettled(starting)) if (result.status === 'fulfilled') stack.use(result.value);
  const nodes = await Promise.all(starting);

  async function withManager<T>(fn: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    const servers = nodes.map(({ url }) => url);
    const connection = await connect({ servers, timeout: connectTimeoutMs, reconnect: false });
    try {
      return await fn(await connection.jetstreamManager({ timeout: 5_000 }));
    } finally {
      await connection.close();
    }
  }

  await eventually(() => withManager((manager) => manager.getAccountInfo()), { timeoutMs: 60_000, everyMs: 200 });
  const parts = stack.move();
  return {
    nodes,
    withManager,
    leaderOf: async (stream) => {
      const { cluster } = await withManager((manager) => manager.streams.info(stream));
      return nodes.find((_, index) => nameOf(index) === cluster?.leader);
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
