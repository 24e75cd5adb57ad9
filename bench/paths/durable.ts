/**
 * hydrogen as a user runs it: a gateway and a message processor of a checkout as two processes, a nats-server that stores
 * every message in a file, and the answer as a reply.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../../test/kit/documents.ts';
import { freePortBase } from '../../test/kit/ports.ts';
import { startBenchProcess } from '../processes.ts';
import { startNatsServer } from './nats-server.ts';
import type { Path } from './path.ts';

export interface DurableOptions {
  readonly name: string;
  /** Folder of a checkout with its `node_modules`. Only its `cli/hydrogen.js` is started, so that any release can run. */
  readonly checkout: string;
  readonly destinationUrl: string;
}

export async function startDurable({ name, checkout, destinationUrl }: DurableOptions): Promise<Path> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const nats = stack.use(await startNatsServer(join(directory, 'jetstream')));
  const group = groupDocument({ nats: { servers: [nats.url] }, stream: { storage: 'File', replicas: 1 } });
  const routing = everythingTo(destinationUrl, { reply: true });
  const command = join(checkout, 'cli/hydrogen.js');

  const start = async (role: string, document: object, ports: readonly string[], probePort: number) => {
    const file = join(directory, `${role}.yaml`);
    await writeFile(file, yaml(group, document));
    const member = startBenchProcess(role, process.execPath, [command, role, '--config', file, ...ports]);
    stack.use(member);
    return { member, untilReady: () => member.answers(`http://127.0.0.1:${probePort}/readyz`) };
  };

  const [port, probePort] = [await freePortBase(), await freePortBase()];
  const gateway = await start(
    'gateway',
    gatewayDocument({ endpoints: [{ path: '/echo' }] }),
    ['--port-base', `${port}`],
    port + 1010,
  );
  const mproc = await start('mproc', processorDocument({ routing }), ['--probe-port', `${probePort}`], probePort);
  await mproc.untilReady();
  await gateway.untilReady();
  const parts = stack.move();
  return {
    name,
    url: `ws://127.0.0.1:${port}/echo`,
    processes: [gateway.member, mproc.member, nats.process],
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
