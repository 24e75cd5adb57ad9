/**
 * hydrogen as a user runs it: a gateway and a message processor of a checkout as two processes, a nats-server that stores
 * every message in a file, and the answer as a reply.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../../test/kit/documents.ts';
import { freePortBase } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';
import { startNatsServer } from './nats-server.ts';
import type { Path } from './path.ts';

export interface DurableOptions {
  readonly name: string;
  /** Folder of a checkout with its `node_modules`. Only its `cli/hydrogen.js` is started, so that any release can run. */
  readonly checkout: string;
  readonly destinationUrl: string;
  /** Further fields of the specs; a `routing` takes the place of everything to `destinationUrl`. */
  readonly group?: Readonly<Record<string, unknown>>;
  readonly processor?: Readonly<Record<string, unknown>>;
  /** How many processors share the messages. @default 1 */
  readonly processors?: number;
}

export interface DurablePath extends Path {
  /** Probes and metrics of the gateway. */
  readonly probesUrl: string;
}

export async function startDurable(options: DurableOptions): Promise<DurablePath> {
  const { name, checkout, destinationUrl, processors = 1 } = options;
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const nats = stack.use(await startNatsServer(join(directory, 'jetstream')));
  const stream = { storage: 'File', replicas: 1 };
  const group = groupDocument({ nats: { servers: [nats.url] }, stream, ...options.group });
  const routing = everythingTo(destinationUrl, { reply: true });
  const command = join(checkout, 'cli/hydrogen.js');

  const start = async (role: string, document: object, ports: readonly string[], probePort: number) => {
    const file = join(directory, `${role}.yaml`);
    await writeFile(file, yaml(group, document));
    const member = startBenchProcess(role, process.execPath, [command, role, '--config', file, ...ports]);
    stack.use(member);
    return { member, untilReady: () => member.answers(`http://127.0.0.1:${probePort}/readyz`) };
  };

  const port = await freePortBase();
  const gateway = await start(
    'gateway',
    gatewayDocument({ endpoints: [{ path: '/echo' }] }),
    ['--port-base', `${port}`],
    port + 1010,
  );
  const mprocs: BenchProcess[] = [];
  for (let count = 0; count < processors; count += 1) {
    const probePort = await freePortBase();
    const document = processorDocument({ routing, ...options.processor });
    const mproc = await start('mproc', document, ['--probe-port', `${probePort}`], probePort);
    await mproc.untilReady();
    mprocs.push(mproc.member);
  }
  await gateway.untilReady();
  const parts = stack.move();
  return {
    name,
    url: `ws://127.0.0.1:${port}/echo`,
    probesUrl: `http://127.0.0.1:${port + 1010}`,
    processes: [gateway.member, ...mprocs, nats.process],
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
