/** The nats-server of the benchmark: $NATS_SERVER, or `nats-server` on the PATH. JetStream on files, in a fresh directory. */

import { type BenchProcess, findPortBase, startBenchProcess } from './processes.ts';

export interface BenchNatsServer extends AsyncDisposable {
  readonly url: string;
  readonly process: BenchProcess;
}

export async function startNatsServer(storeDirectory: string): Promise<BenchNatsServer> {
  const port = await findPortBase();
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-m', `${port + 1}`, '-js', '-sd', storeDirectory];
  const server = startBenchProcess('nats-server', process.env.NATS_SERVER ?? 'nats-server', args);
  await server.answers(`http://127.0.0.1:${port + 1}/healthz`);
  return {
    url: `nats://127.0.0.1:${port}`,
    process: server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
