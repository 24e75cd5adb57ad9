/** From services to clients: a push to one client by its id, and a broadcast to all. */

import { setTimeout as sleep } from 'node:timers/promises';
import { closeClients, type LoadClient, openClients } from '../load/client.ts';
import { Latencies } from '../load/histogram.ts';
import { PostConnection } from '../load/post.ts';
import type { PushRequest } from '../paths/path.ts';
import type { Figures, Round } from './scenario.ts';
import { measureWork } from './window.ts';

const padding = 'x'.repeat(64);
const arrivalMs = 5_000;
const pollMs = 10;

/**
 * Each of `pushers` services sends its next push once the last one was answered with 2xx.
 * @throws when one is refused, a text arrives wrong, or a client does not get all of its texts
 */
export async function measurePush(
  round: Round,
  { connections, pushers, through }: { connections: number; pushers: number; through: 'owner' | 'other' },
): Promise<Figures> {
  const push = round.path.push ?? missing('push');
  await using receivers = await Receivers.open(round, connections);
  const ids = await receivers.ids();
  const latencies = new Latencies();
  let pushed = 0;
  const pushFor = async (seconds: number): Promise<void> => {
    const endMs = performance.now() + seconds * 1000;
    const pushInTurn = async (): Promise<void> => {
      let connection: PostConnection | undefined;
      try {
        while (performance.now() < endMs) {
          const index = pushed++ % connections;
          const request = push(ids[index] ?? '', receivers.next(index), through);
          connection ??= new PostConnection(request.target);
          const startMs = performance.now();
          await send(connection, request);
          latencies.record(performance.now() - startMs);
        }
      } finally {
        connection?.[Symbol.dispose]();
      }
    };
    await Promise.race([Promise.all(Array.from({ length: pushers }, pushInTurn)), receivers.broken]);
  };
  await pushFor(round.warmUpSeconds);
  latencies.reset();
  const before = pushed;
  const figures = await measureWork(round, async () => {
    await pushFor(round.seconds);
    return pushed - before;
  });
  await receivers.haveAll(pushed);
  return { ...figures, p50Ms: latencies.percentile(50), p99Ms: latencies.percentile(99) };
}

/** The next broadcast is sent once every client has the last one. The rate is in deliveries. */
export async function measureBroadcast(round: Round, connections: number): Promise<Figures> {
  const broadcast = round.path.broadcast ?? missing('broadcast');
  await using receivers = await Receivers.open(round, connections);
  const latencies = new Latencies();
  using connection = new PostConnection(broadcast('').target);
  let sent = 0;
  const broadcastFor = async (seconds: number): Promise<void> => {
    const endMs = performance.now() + seconds * 1000;
    while (performance.now() < endMs) {
      const startMs = performance.now();
      sent += 1;
      const all = receivers.untilAllHave(sent * connections);
      receivers.expected = `${sent}.${padding}`;
      await send(connection, broadcast(receivers.expected));
      await Promise.race([all, receivers.broken, late(`broadcast ${sent} did not reach every client`)]);
      latencies.record(performance.now() - startMs);
    }
  };
  await broadcastFor(round.warmUpSeconds);
  latencies.reset();
  const before = sent;
  const figures = await measureWork(round, async () => {
    await broadcastFor(round.seconds);
    return (sent - before) * connections;
  });
  return { ...figures, p50Ms: latencies.percentile(50), p99Ms: latencies.percentile(99) };
}

/** Clients that wait for texts and know which one comes next. */
class Receivers implements AsyncDisposable {
  /** The text of the last broadcast. */
  expected = '';
  readonly #round: Round;
  readonly #clients: readonly LoadClient[];
  readonly #broken: PromiseWithResolvers<never> = Promise.withResolvers();
  readonly #sent: number[];
  #received = 0;
  #awaited = Number.POSITIVE_INFINITY;
  #onAll: () => void = () => undefined;

  private constructor(round: Round, clients: readonly LoadClient[]) {
    this.#round = round;
    this.#clients = clients;
    this.#sent = clients.map(() => 0);
    this.#broken.promise.catch(() => undefined); // whoever races with it reports it
    for (const client of clients) {
      client.onBroken = this.#broken.reject;
      client.onText = (text) => this.#onBroadcast(client, text);
    }
  }

  static async open(round: Round, connections: number): Promise<Receivers> {
    return new Receivers(round, await openClients(round.path, connections));
  }

  get broken(): Promise<never> {
    return this.#broken.promise;
  }

  /** Ids for pushes; from then on each text is checked. */
  async ids(): Promise<string[]> {
    const isAsked = this.#round.path.ids === 'asked';
    const ids = isAsked ? await Promise.all(this.#clients.map(idOf)) : this.#clients.map(({ index }) => `${index}`);
    for (const [index, client] of this.#clients.entries()) {
      client.onText = (text) => {
        const isOurs = text.startsWith(`${index}.`) && text.endsWith(padding);
        if (!isOurs) client.onBroken(new Error(`client ${index} got "${text.slice(0, 80)}"`));
        this.#received += 1;
      };
    }
    return ids;
  }

  next(index: number): string {
    this.#sent[index] = (this.#sent[index] ?? 0) + 1;
    return `${index}.${this.#sent[index]}.${padding}`;
  }

  /** Resolves when the clients have got this many texts in all. */
  untilAllHave(count: number): Promise<void> {
    this.#awaited = count;
    return new Promise((resolve) => {
      this.#onAll = resolve;
    });
  }

  async haveAll(count: number): Promise<void> {
    const deadline = performance.now() + arrivalMs;
    while (this.#received < count && performance.now() < deadline) await sleep(pollMs);
    if (this.#received !== count) throw new Error(`clients got ${this.#received} of ${count} pushes`);
  }

  #onBroadcast(client: LoadClient, text: string): void {
    if (text !== this.expected) client.onBroken(new Error(`client ${client.index} got "${text.slice(0, 80)}"`));
    this.#received += 1;
    if (this.#received === this.#awaited) this.#onAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeClients(this.#clients);
  }
}

async function idOf(client: LoadClient): Promise<string> {
  const answer = Promise.withResolvers<string>();
  client.onText = answer.resolve;
  client.send('id?');
  return answer.promise;
}

async function send(connection: PostConnection, { path, headers, body }: PushRequest): Promise<void> {
  const answer = await connection.post(path, headers, body);
  if (answer.status < 200 || answer.status > 299 || answer.body.includes('"error"')) {
    throw new Error(`${path} was answered with ${answer.status} ${answer.body}`);
  }
}

async function late(problem: string): Promise<never> {
  await sleep(arrivalMs, undefined, { ref: false });
  throw new Error(`${problem} within ${arrivalMs / 1000} s`);
}

function missing(what: string): never {
  throw new Error(`this system cannot ${what}`);
}
