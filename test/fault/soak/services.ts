/**
 * The services of a run: destinations that can fail in every way, and the hooks, which give each connection its name
 * and learn its id.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pass } from 'node:timers/promises';
import { startDestination } from '../../kit/destination.ts';
import type { Random } from './random.ts';
import type { Recorder } from './recorder.ts';

export type Mood = 'works' | 'fails' | 'slow' | 'hangs' | 'resets';

/** Rarely a destination that works refuses a message for good, or fails. */
const rejectProbability = 1 / 200;
const failProbability = 1 / 100;
const slowMs = [500, 2_000] as const;

export class SoakDestination implements AsyncDisposable {
  mood: Mood = 'works';
  readonly port: number;
  readonly #recorder: Recorder;
  readonly #random: Random;
  #server: Server;

  static async start(recorder: Recorder, random: Random): Promise<SoakDestination> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SoakDestination(server, recorder, random);
  }

  private constructor(server: Server, recorder: Recorder, random: Random) {
    this.port = (server.address() as AddressInfo).port; // it listens on a port and not on a pipe
    this.#recorder = recorder;
    this.#random = random;
    this.#server = server;
    this.#serve();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Resets every connection and refuses new ones. */
  async die(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async revive(): Promise<void> {
    this.#server = createServer();
    this.#serve();
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.die();
  }

  #serve(): void {
    this.#server.keepAliveTimeout = 60_000; // a stale connection is another test's subject
    this.#server.on('request', (request, response) => void this.#answer(request, response));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => {});
    response.on('error', () => {});
    const text = await textOf(request);
    if (text === undefined) return;
    const atMs = this.#recorder.nowMs();
    const { connection, number } = readMessage(text);
    const attempt = Number(request.headers['hydrogen-attempt']);
    const { mood } = this;
    response.once('close', () => {
      const status = mood === 'hangs' ? 'hung' : mood === 'resets' ? 'reset' : 'aborted';
      const outcome = response.writableFinished ? response.statusCode : status;
      const endedMs = this.#recorder.nowMs();
      this.#recorder.note({ kind: 'requested', atMs, endedMs, connection, number, attempt, outcome });
    });
    if (mood === 'hangs') return;
    if (mood === 'resets') return void request.socket.resetAndDestroy();
    if (mood === 'slow') await pass(this.#random.between(...slowMs));
    response.writeHead(this.#statusIn(mood)).end();
  }

  #statusIn(mood: Mood): number {
    if (mood === 'fails') return 503;
    const drawn = this.#random.next();
    if (drawn < rejectProbability) return 422;
    return drawn < rejectProbability + failProbability ? 503 : 200;
  }
}

export interface SoakHooks extends AsyncDisposable {
  readonly url: string;
  /** The id of a connection, once its connect hook was called. */
  idOf(connection: string): string | undefined;
}

/** One in so many disconnect hooks fails, and is called again. */
const failingHook = 1 / 10;

export async function startHooks(recorder: Recorder, random: Random): Promise<SoakHooks> {
  const ids = new Map<string, string>();
  const server = await startDestination((request) => {
    const body = request.json();
    if (request.path === '/authorizer') {
      const query = body.query as readonly (readonly [string, string])[];
      return { body: JSON.stringify({ context: Object.fromEntries(query) }) };
    }
    const { connection } = (body.context as { readonly authorizer: { readonly connection: string } }).authorizer;
    if (request.path === '/connect') {
      ids.set(connection, String(body.connection_id));
      return undefined;
    }
    const status = random.happens(failingHook) ? 500 : 200;
    recorder.note({ kind: 'hooked', atMs: recorder.nowMs(), connection, status });
    return { status };
  });
  return {
    url: server.url,
    idOf: (connection) => ids.get(connection),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The text of a client's message; its first word chooses the rule. */
export function writeMessage(rule: string, connection: string, number: number): string {
  return `${rule} ${connection} ${number}`;
}

/** @param body as destinations receive it, and as dead letters keep it */
export function readMessage(body: string): { readonly connection: string; readonly number: number } {
  const [, connection = '', number] = (JSON.parse(body) as { readonly message: string }).message.split(' ');
  return { connection, number: Number(number) };
}

/** Undefined when the request ends before its body does. */
async function textOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } catch {
    return undefined;
  }
}
