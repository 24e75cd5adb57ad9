/** The nats-server that tests use, with JetStream on files in a directory of its own: one, or three as a cluster. */

import { join } from 'node:path';
import { findNatsServer } from '../../test/kit/nats-binary.ts';
import { freePortBase, freePorts } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';

interface BenchNatsServer extends AsyncDisposable {
  readonly url: string;
  readonly process: BenchProcess;
}

export async function startNatsServer(
  storeDirectory: string,
  more: readonly string[] = [],
  name = 'nats-server',
): Promise<BenchNatsServer> {
  const port = await freePortBase();
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-m', `${port + 1}`, '-js', '-sd', storeDirectory, ...more];
  const server = startBenchProcess(name, await findNatsServer(), args);
  await server.answers(`http://127.0.0.1:${port + 1}/healthz`);
  return {
    url: `nats://127.0.0.1:${port}`,
    process: server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Resolves when all of them have joined. `size` 1 is a single server without a cluster. */
export async function startNatsServers(size: number, storeDirectory: string): Promise<readonly BenchNatsServer[]> {
  if (size === 1) return [await startNatsServer(storeDirectory)];
  const ports = await freePorts(size);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
  await using stack = new AsyncDisposableStack();
  const starting = routes.map((route, index) => {
    const own = ['-n', `node-${index}`, '--cluster_name', 'bench', '--cluster', route, '--no_advertise=true'];
    const store = join(storeDirectory, `${index}`);
    return startNatsServer(store, [...own, '--routes', routes.join(',')], `nats-server ${index + 1}`);
  });
  for (const result of await Promise.allSettled(starting)) if (result.status === 'fulfilled') stack.use(result.value);
  const servers = await Promise.all(starting);
  stack.move();
  return servers;
}
