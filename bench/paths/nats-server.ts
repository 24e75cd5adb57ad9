/** The nats-server that tests use, with JetStream on files in a directory of its own. */

import { findNatsServer } from '../../test/kit/nats-binary.ts';
import { freePortBase } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';

interface BenchNatsServer extends AsyncDisposable {
  readonly url: string;
  readonly process: BenchProcess;
}

export async function startNatsServer(storeDirectory: string): Promise<BenchNatsServer> {
  const port = await freePortBase();
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-m', `${port + 1}`, '-js', '-sd', storeDirectory];
  const server = startBenchProcess('nats-server', await findNatsServer(), args);
  await server.answers(`http://127.0.0.1:${port + 1}/healthz`);
  return {
    url: `nats://127.0.0.1:${port}`,
    process: server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
