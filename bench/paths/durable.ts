/**
 * hydrogen as a user runs it: gateways and message processors of a checkout as processes, nats-servers that store every
 * message in a file, and the answer as a reply.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../../test/kit/documents.ts';
import { freePortBase } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';
import { type Shipped, shipped } from '../shipped.ts';
import { startNatsServers } from './nats-server.ts';
import type { Path } from './path.ts';

export interface DurableOptions {
  readonly name: string;
  /** Folder of a checkout with its `node_modules`. It runs as it ships, by its command alone, so that any release can. */
  readonly checkout: string;
  readonly destinationUrl: string;
  /** Further fields of the specs; a `routing` takes the place of everything to `destinationUrl`. */
  readonly group?: Readonly<Record<string, unknown>>;
  readonly gateway?: Readonly<Record<string, unknown>>;
  readonly processor?: Readonly<Record<string, unknown>>;
  /** How many gateways there are. @default 1 */
  readonly gateways?: number;
  /** How many processors share the messages. @default 1 */
  readonly processors?: number;
  /** How many servers store a copy of each message: 1 or 3. @default 1 */
  readonly replicas?: number;
}

export interface DurablePath extends Path {
  /** Probes and metrics of the first gateway. */
  readonly probesUrl: string;
  /** Port of the management API of each gateway. */
  readonly managementPorts: readonly number[];
  /** Ends all processors. */
  stopProcessors(): Promise<void>;
  /** Starts as many as there are to be, and resolves when they are ready. */
  startProcessors(): Promise<void>;
}

export async function startDurable(options: DurableOptions): Promise<DurablePath> {
  const { name, destinationUrl, gateways: count = 1, replicas = 1 } = options;
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const servers = await startNatsServers(replicas, join(directory, 'jetstream'));
  for (const server of servers) stack.use(server);
  const stream = { storage: 'File', replicas };
  const group = groupDocument({ nats: { servers: servers.map(({ url }) => url) }, stream, ...options.group });
  const routing = everythingTo(destinationUrl, { reply: true });
  const members = new Members(options, directory, await shipped(options.checkout));
  stack.use(members);
  await members.write('gateway', group, gatewayDocument({ endpoints: [{ path: '/echo' }], ...options.gateway }));
  await members.write('mproc', group, processorDocument({ routing, ...options.processor }));
  const ports: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const port = await freePortBase();
    ports.push(port);
    members.startGateway(port, index);
  }
  await members.startProcessors();
  await members.untilReady(ports);
  const parts = stack.move();
  return {
    name,
    url: `ws://127.0.0.1:${ports[0]}/echo`,
    probesUrl: `http://127.0.0.1:${Number(ports[0]) + probesOffset}`,
    managementPorts: ports.map((port) => port + 1),
    stopProcessors: () => members.stopProcessors(),
    startProcessors: () => members.startProcessors(),
    get processes() {
      return [...members.gateways, ...members.processors, ...servers.map(({ process }) => process)];
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** From the port of clients. */
const probesOffset = 1010;

/** The processes of a group, and the files that configure them. */
class Members implements AsyncDisposable {
  readonly gateways: BenchProcess[] = [];
  processors: BenchProcess[] = [];
  readonly #options: DurableOptions;
  readonly #directory: string;
  readonly #image: Shipped;

  constructor(options: DurableOptions, directory: string, image: Shipped) {
    this.#options = options;
    this.#directory = directory;
    this.#image = image;
  }

  async write(role: string, ...documents: readonly object[]): Promise<void> {
    await writeFile(this.#file(role), yaml(...documents));
  }

  startGateway(port: number, index: number): void {
    const name = index === 0 ? 'gateway' : `gateway ${index + 1}`;
    this.gateways.push(this.#start(name, 'gateway', ['--port-base', `${port}`]));
  }

  async startProcessors(): Promise<void> {
    const { processors = 1 } = this.#options;
    for (let count = 0; count < processors; count += 1) {
      const port = await freePortBase();
      const mproc = this.#start('mproc', 'mproc', ['--probe-port', `${port}`]);
      this.processors.push(mproc);
      await mproc.answers(`http://127.0.0.1:${port}/readyz`);
    }
  }

  async stopProcessors(): Promise<void> {
    await Promise.all(this.processors.map((mproc) => mproc[Symbol.asyncDispose]()));
    this.processors = [];
  }

  async untilReady(ports: readonly number[]): Promise<void> {
    for (const [index, gateway] of this.gateways.entries()) {
      await gateway.answers(`http://127.0.0.1:${Number(ports[index]) + probesOffset}/readyz`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopProcessors();
    await Promise.all(this.gateways.map((gateway) => gateway[Symbol.asyncDispose]()));
  }

  #start(name: string, role: string, ports: readonly string[]): BenchProcess {
    const { command, flags } = this.#image;
    const args = [...flags, command, role, '--config', this.#file(role), ...ports];
    return startBenchProcess(name, process.execPath, args, { NODE_ENV: 'production' });
  }

  #file(role: string): string {
    return join(this.#directory, `${role}.yaml`);
  }
}
