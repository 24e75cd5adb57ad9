/** The processes of a run: NATS servers, gateways and processors, each with connections to NATS that can be harmed. */

import { rename, writeFile } from 'node:fs/promises';
import { within } from '../../../process/timing.ts';
import { createSubjects, type Subjects } from '../../../runtime/bus/subjects.ts';
import { gatewayDocument, groupDocument, processorDocument, yaml } from '../../kit/documents.ts';
import { eventually } from '../../kit/eventually.ts';
import {
  type ConfiguredProcess,
  type GatewayProcess,
  startGatewayProcess,
  startMprocProcess,
} from '../../kit/hydrogen.ts';
import { type NatsCluster, startNatsCluster } from '../../kit/nats-cluster.ts';
import { startTcpProxy, type TcpProxy } from '../../kit/tcp-proxy.ts';
import type { CastSize } from './plan.ts';
import type { Recorder } from './recorder.ts';

type Spec = Readonly<Record<string, unknown>>;

/** The specs of the three documents; a change is written into the file of every process. */
export interface Specs {
  readonly group: Spec;
  readonly gateway: Spec;
  readonly processor: Spec;
}

const groupName = 'soak';
/** Milliseconds that a process may take to stop: more than any grace period here. */
const stopLimitMs = 40_000;
/** Milliseconds for the start of a process on a busy machine. */
const startLimitMs = 60_000;

/** The place of one process, which may be ended and started many times. */
export class Seat<Process extends ConfiguredProcess = ConfiguredProcess> implements AsyncDisposable {
  readonly name: string;
  /** Its connections to each NATS server. */
  readonly links: readonly TcpProxy[];
  /** Undefined while it does not run. */
  process: Process | undefined;
  readonly #start: (servers: readonly string[]) => Promise<Process>;
  readonly #recorder: Recorder;

  constructor(
    name: string,
    links: readonly TcpProxy[],
    recorder: Recorder,
    start: (servers: readonly string[]) => Promise<Process>,
  ) {
    this.name = name;
    this.links = links;
    this.#recorder = recorder;
    this.#start = start;
  }

  get servers(): string[] {
    return this.links.map(({ port }) => `nats://127.0.0.1:${port}`);
  }

  /** Resolves when the process handles signals, which is long before it is ready. */
  async start(): Promise<void> {
    if (this.process !== undefined) throw new Error(`${this.name} runs already`);
    const started = await this.#start(this.servers);
    this.process = started;
    void started.exited.then((with_) => {
      this.#recorder.note({ kind: 'ended', atMs: this.#recorder.nowMs(), process: this.name, with: with_ });
      if (this.process === started) this.process = undefined;
    });
    const isHandling = (): boolean => started.output().includes('"msg":"started"');
    await Promise.race([started.exited, eventually(isHandling, { timeoutMs: startLimitMs, everyMs: 50 })]);
  }

  /** Ends it and waits for that; one that does not stop in time is killed. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const ending = this.process;
    if (ending === undefined) return;
    this.#signal(ending, signal);
    if ((await within(stopLimitMs, ending.exited)) !== undefined) return;
    this.#signal(ending, 'SIGKILL');
    await ending.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process?.[Symbol.asyncDispose]();
  }

  #signal(ending: Process, signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#recorder.note({ kind: 'signalled', atMs: this.#recorder.nowMs(), process: this.name, signal });
    ending.kill(signal);
  }
}

export class Cast implements AsyncDisposable {
  readonly nats: NatsCluster;
  readonly subjects: Subjects = createSubjects(`default_${groupName}`);
  readonly gateways: Seat<GatewayProcess>[] = [];
  readonly processors: Seat[] = [];
  readonly #stack = new AsyncDisposableStack();
  #specs: Specs;

  /** Resolves when every process is ready. */
  static async start(size: CastSize, specs: Specs, recorder: Recorder): Promise<Cast> {
    const cast = new Cast(await startNatsCluster(size.nodes), specs);
    try {
      for (let index = 0; index < size.processors; index++) await cast.#seatProcessor(`processor-${index}`, recorder);
      for (let index = 0; index < size.gateways; index++) await cast.#seatGateway(`gateway-${index}`, recorder);
      await Promise.all(cast.seats.map((seat) => seat.process?.untilReady()));
      return cast;
    } catch (error) {
      await cast[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(nats: NatsCluster, specs: Specs) {
    this.nats = this.#stack.use(nats);
    this.#specs = specs;
  }

  get specs(): Specs {
    return this.#specs;
  }

  get seats(): readonly Seat[] {
    return [...this.gateways, ...this.processors];
  }

  /** The gateways that run. */
  get serving(): GatewayProcess[] {
    return this.gateways.flatMap(({ process }) => process ?? []);
  }

  /** Gives every process, and those that start later, new documents. */
  async change(specs: Partial<Specs>): Promise<void> {
    this.#specs = { ...this.#specs, ...specs };
    const write = async ({ process, servers }: Seat, member: object): Promise<void> => {
      if (process === undefined) return;
      const draft = `${process.file}.draft`;
      await writeFile(draft, yaml(this.#group(servers), member));
      await rename(draft, process.file);
    };
    const naming = { name: groupName, group: groupName };
    await Promise.all([
      ...this.gateways.map((seat) => write(seat, gatewayDocument(this.#specs.gateway, naming))),
      ...this.processors.map((seat) => write(seat, processorDocument(this.#specs.processor, naming))),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  #group(servers: readonly string[]): object {
    return groupDocument({ ...this.#specs.group, nats: { servers } }, { name: groupName });
  }

  async #seatGateway(name: string, recorder: Recorder): Promise<void> {
    const seat = new Seat(name, await this.#links(), recorder, (servers) =>
      startGatewayProcess({ ...this.#member(servers), spec: this.#specs.gateway }),
    );
    this.gateways.push(this.#stack.use(seat));
    await seat.start();
  }

  async #seatProcessor(name: string, recorder: Recorder): Promise<void> {
    const seat = new Seat(name, await this.#links(), recorder, (servers) =>
      startMprocProcess({ ...this.#member(servers), spec: this.#specs.processor }),
    );
    this.processors.push(this.#stack.use(seat));
    await seat.start();
  }

  async #links(): Promise<TcpProxy[]> {
    const links: TcpProxy[] = [];
    for (const { port } of this.nats.nodes) links.push(this.#stack.use(await startTcpProxy(port)));
    return links;
  }

  #member(servers: readonly string[]) {
    const spec = { ...this.#specs.group, nats: { servers } };
    return { name: groupName, group: { name: groupName, natsUrl: '', spec }, isLazy: true };
  }
}
