/**
 * What a client message costs on JetStream by the way in which it is laid out: one message per stream entry or several
 * (group commit, one entry of each lane in flight), one consumer or many. One process publishes and consumes in a closed
 * loop beside a nats-server with file storage; there are no sockets and no services, so only the order of the rows counts.
 * The figures of docs/decisions/2026-11-26-layout.md come from here.
 *
 *   node bench/layout.ts [--seconds 2] [--rounds 3]
 */

import { parseArgs } from 'node:util';
import { connect, headers, type Msg, type NatsConnection } from 'nats';
import { Fifo } from '../runtime/fifo.ts';
import { startNats } from '../test/kit/nats.ts';
import { cpuMicrosecondsOf } from './processes.ts';
import { median, printMachine } from './report.ts';

interface Layout {
  readonly name: string;
  readonly connections: number;
  /** Messages of each connection that are under way. */
  readonly outstanding?: number;
  /** Undefined: one message per entry, one entry of each connection in flight. */
  readonly lanes?: number;
  readonly consumers?: number;
  readonly maxAckPending?: number;
  readonly stream?: object;
}

interface Figures {
  readonly rate: number;
  readonly perEntry: number;
  readonly natsUs: number;
  readonly clientUs: number;
  readonly p50Ms: number;
}

interface Message {
  readonly connection: number;
  readonly sentAtMs: number;
}

/** Messages that wait behind the entry in flight. */
interface Line {
  readonly subject: string;
  readonly waiting: Fifo<number>;
  isBusy: boolean;
}

const layouts: readonly Layout[] = [
  { name: '100 connections, one message per entry', connections: 100 },
  {
    name: '  a subject holds at most 1,024',
    connections: 100,
    stream: { max_msgs_per_subject: 1024, discard_new_per_subject: true },
  },
  { name: '  64 consumers, one pending each', connections: 100, consumers: 64, maxAckPending: 1 },
  { name: '  64 consumers, many pending', connections: 100, consumers: 64, maxAckPending: 256 },
  { name: '  8 consumers, many pending', connections: 100, consumers: 8, maxAckPending: 256 },
  ...[1, 8, 16, 64].map((lanes) => ({ name: `100 connections, ${lanes} lanes`, connections: 100, lanes })),
  { name: '  8 lanes, 8 consumers', connections: 100, lanes: 8, consumers: 8, maxAckPending: 256 },
  { name: '1,000 connections, one message per entry', connections: 1000 },
  { name: '1,000 connections, 16 lanes', connections: 1000, lanes: 16 },
  { name: 'one connection, 64 outstanding', connections: 1, outstanding: 64 },
  { name: '  what waits goes into one entry', connections: 1, outstanding: 64, lanes: 1 },
];
const messageBytes = 300;
const maxPerEntry = 256;
const pullBatch = 256;
const partitions = 64;
const warmUpMs = 800;
const body = Buffer.alloc(messageBytes, 'x');

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '2' }, rounds: { type: 'string', default: '3' } },
});
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];
if (!(seconds > 0) || !Number.isInteger(rounds) || rounds < 1) {
  console.error('--seconds is a number above 0, --rounds a whole number above 0');
  process.exit(2);
}

async function run(): Promise<void> {
  await using server = await startNats();
  const nats = await connect({ servers: server.url });
  const all = layouts.map((layout) => ({ layout, figures: [] as Figures[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { layout, figures } of all) figures.push(await measure(nats, server.pid ?? 0, layout));
  }
  await nats.close();
  console.log(`${''.padEnd(42)}messages/s  per entry  NATS us  client us  p50 ms`);
  for (const { layout, figures } of all) {
    const column = (field: keyof Figures, digits: number, width: number): string =>
      median(figures.map((one) => one[field]))
        .toFixed(digits)
        .padStart(width);
    console.log(
      layout.name.padEnd(42) +
        column('rate', 0, 10) +
        column('perEntry', 1, 11) +
        column('natsUs', 1, 9) +
        column('clientUs', 1, 11) +
        column('p50Ms', 1, 8),
    );
  }
}

async function measure(nats: NatsConnection, serverPid: number, layout: Layout): Promise<Figures> {
  const loop = new Loop(nats, layout);
  await loop.start();
  await new Promise((resolve) => setTimeout(resolve, warmUpMs));
  const before = { ...loop.counts };
  const startedAtMs = performance.now();
  const serverUs = cpuMicrosecondsOf(serverPid);
  const own = process.cpuUsage();
  loop.delaysMs.length = 0;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const messages = loop.counts.messages - before.messages;
  const { user, system } = process.cpuUsage(own);
  const figures = {
    rate: (messages * 1000) / (performance.now() - startedAtMs),
    perEntry: messages / (loop.counts.entries - before.entries),
    natsUs: (cpuMicrosecondsOf(serverPid) - serverUs) / messages,
    clientUs: (user + system) / messages,
    p50Ms: median(loop.delaysMs),
  };
  await loop.stop();
  return figures;
}

/** Publishes a message of a connection again as soon as it has been consumed. */
class Loop {
  readonly counts = { messages: 0, entries: 0 };
  readonly delaysMs: number[] = [];
  readonly #nats: NatsConnection;
  readonly #layout: Layout;
  readonly #stream = `layout-${process.pid}-${performance.now().toFixed(0)}`;
  readonly #inbox = `_INBOX.${this.#stream}`;
  readonly #lines = new Map<number, Line>();
  readonly #inFlight = new Map<number, Line>();
  readonly #sent = new Map<number, Message>();
  readonly #dirty = new Set<Line>();
  readonly #requested: number[];
  #lastEntry = 0;
  #lastMessage = 0;
  #state: 'running' | 'stopped' = 'running';

  constructor(nats: NatsConnection, layout: Layout) {
    this.#nats = nats;
    this.#layout = layout;
    this.#requested = Array.from({ length: layout.consumers ?? 1 }, () => 0);
  }

  async start(): Promise<void> {
    const { connections, outstanding = 1, stream } = this.#layout;
    const name = this.#stream;
    const kept = {
      retention: 'interest',
      storage: 'file',
      discard: 'new',
      max_bytes: 2 ** 30,
      duplicate_window: 120e9,
    };
    await this.#api(`STREAM.CREATE.${name}`, { name, subjects: [`${name}.>`], ...kept, ...stream });
    for (const consumer of this.#requested.keys()) await this.#createConsumer(consumer);
    this.#nats.subscribe(`${this.#inbox}.ack.*`, { callback: (_, msg) => this.#onAck(msg) });
    this.#nats.subscribe(`${this.#inbox}.pull.*`, { callback: (_, msg) => this.#onEntry(msg) });
    for (const consumer of this.#requested.keys()) this.#pull(consumer);
    for (let connection = 0; connection < connections; connection++) {
      for (let count = 0; count < outstanding; count++) this.#send(connection);
    }
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    await this.#api(`STREAM.DELETE.${this.#stream}`);
  }

  async #createConsumer(consumer: number): Promise<void> {
    const { maxAckPending = 2048 } = this.#layout;
    const { length } = this.#requested;
    const share = Array.from({ length: partitions / length }, (_, n) => `${this.#stream}.${consumer + n * length}.>`);
    const name = `c${consumer}`;
    const config = {
      durable_name: name,
      name,
      ack_policy: 'explicit',
      max_ack_pending: maxAckPending,
      filter_subjects: length === 1 ? [`${this.#stream}.>`] : share,
    };
    await this.#api(`CONSUMER.CREATE.${this.#stream}.${name}`, { stream_name: this.#stream, config });
  }

  async #api(subject: string, request: object = {}): Promise<void> {
    const answer = await this.#nats.request(`$JS.API.${subject}`, JSON.stringify(request), { timeout: 10_000 });
    const { error } = answer.json<{ error?: { description: string } }>();
    if (error !== undefined) throw new Error(`${subject}: ${error.description}`);
  }

  #pull(consumer: number): void {
    const requested = this.#requested[consumer] ?? 0;
    if (this.#state === 'stopped' || requested > pullBatch / 2) return;
    this.#requested[consumer] = requested + pullBatch;
    const request = JSON.stringify({ batch: pullBatch, expires: 30e9 });
    const reply = `${this.#inbox}.pull.${consumer}`;
    this.#nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.c${consumer}`, request, { reply });
  }

  #send(connection: number): void {
    if (this.#state === 'stopped') return;
    const id = ++this.#lastMessage;
    this.#sent.set(id, { connection, sentAtMs: performance.now() });
    const line = this.#lineOf(connection);
    line.waiting.push(id);
    this.#touch(line);
  }

  #lineOf(connection: number): Line {
    const { lanes } = this.#layout;
    const key = lanes === undefined ? connection : connection % lanes;
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const subject = `${this.#stream}.${key % partitions}.chat.${lanes === undefined ? `connection-${key}` : '_'}`;
    const line = { subject, waiting: new Fifo<number>(), isBusy: false };
    this.#lines.set(key, line);
    return line;
  }

  /** What is sent within a turn goes into one entry. */
  #touch(line: Line): void {
    if (this.#dirty.size === 0) setImmediate(() => this.#flush());
    this.#dirty.add(line);
  }

  #flush(): void {
    const lines = [...this.#dirty];
    this.#dirty.clear();
    for (const line of lines) if (!line.isBusy && line.waiting.length > 0) this.#publish(line);
  }

  #publish(line: Line): void {
    const ids: number[] = [];
    const most = this.#layout.lanes === undefined ? 1 : maxPerEntry;
    for (let id = line.waiting.shift(); id !== undefined; id = ids.length < most ? line.waiting.shift() : undefined) {
      ids.push(id);
    }
    const entry = ++this.#lastEntry;
    this.counts.entries += 1;
    line.isBusy = true;
    this.#inFlight.set(entry, line);
    const block = headers();
    block.set('Nats-Msg-Id', `${this.#stream}-${entry}`);
    const payload = Buffer.concat([Buffer.from(`${JSON.stringify(ids)}\n`), ...ids.map(() => body)]);
    this.#nats.publish(line.subject, payload, { reply: `${this.#inbox}.ack.${entry}`, headers: block });
  }

  #onAck({ subject }: Msg): void {
    const entry = Number(subject.slice(subject.lastIndexOf('.') + 1));
    const line = this.#inFlight.get(entry);
    if (line === undefined) return;
    this.#inFlight.delete(entry);
    line.isBusy = false;
    if (line.waiting.length > 0) this.#touch(line);
  }

  #onEntry({ reply, data }: Msg): void {
    if (reply === undefined || reply === '') return;
    const consumer = Number(reply.split('.')[3]?.slice(1));
    this.#requested[consumer] = (this.#requested[consumer] ?? 0) - 1;
    this.#pull(consumer);
    this.#nats.publish(reply, '+ACK');
    for (const id of JSON.parse(Buffer.from(data.subarray(0, data.indexOf(10))).toString()) as number[]) {
      const message = this.#sent.get(id);
      if (message === undefined) continue;
      this.#sent.delete(id);
      this.counts.messages += 1;
      if (id % 8 === 0) this.delaysMs.push(performance.now() - message.sentAtMs);
      this.#send(message.connection);
    }
  }
}

printMachine('only the order of the rows');
await run();
