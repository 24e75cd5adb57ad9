/** A client of a system: texts out, texts in, whatever the system wraps them in. */

import type { Dialect } from './dialect.ts';
import { LoadSocket } from './socket.ts';

/** The longest that opening one connection may take. */
const openTimeoutMs = 30_000;

export interface LoadTarget {
  readonly url: string;
  readonly dialect: Dialect;
}

export class LoadClient {
  readonly index: number;
  readonly #dialect: Dialect;
  readonly #ready: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly #closed: PromiseWithResolvers<number> = Promise.withResolvers();
  #socket: LoadSocket | undefined;
  #isReady = false;
  #isClosing = false;
  #sent = 0;
  /** Called with each text that arrives. */
  onText: (text: string) => void = () => undefined;
  /** Called when the system ends the connection, or sends what is no answer. */
  onBroken: (err: Error) => void = () => undefined;

  private constructor(index: number, dialect: Dialect) {
    this.index = index;
    this.#dialect = dialect;
    this.#ready.promise.catch(() => undefined); // `open` waits for it, unless the connection itself fails first
  }

  /** Resolves once the client may send. @throws when the system refuses it, or does not answer within 30 seconds */
  static async open({ url, dialect }: LoadTarget, index: number): Promise<LoadClient> {
    const client = new LoadClient(index, dialect);
    const timer = setTimeout(
      () => client.#ready.reject(new Error(`${url}: connection ${index} is not open after ${openTimeoutMs / 1000} s`)),
      openTimeoutMs,
    );
    try {
      const handlers = { onText: client.#read.bind(client), onClose: client.#end.bind(client) };
      client.#socket = await Promise.race([LoadSocket.open(url, handlers), client.#ready.promise.then(never)]);
      const greeting = dialect.greeting?.(index);
      if (greeting === undefined) client.#isReady = true;
      else {
        client.#socket.sendText(greeting);
        await client.#ready.promise;
      }
      return client;
    } finally {
      clearTimeout(timer);
    }
  }

  send(text: string): void {
    this.#sent += 1;
    this.#socket?.sendText(this.#dialect.request(this.#sent, text));
  }

  /** Closes with 1000 and resolves with the code that the system answered. */
  async close(): Promise<number> {
    this.#isClosing = true;
    this.#socket?.close();
    return this.#closed.promise;
  }

  /** Ends the connection without a closing handshake. */
  drop(): void {
    this.#isClosing = true;
    this.#socket?.destroy();
  }

  #read(frame: string): void {
    const response = this.#dialect.response?.(frame);
    if (response !== undefined) this.#socket?.sendText(response);
    try {
      if (this.#isReady) for (const text of this.#dialect.texts(frame)) this.onText(text);
      else this.#greeted(frame);
    } catch (err) {
      this.onBroken(err as Error);
    }
  }

  #greeted(frame: string): void {
    if (frame.includes('"error":')) {
      this.#ready.reject(new Error(`the greeting was answered with ${frame}`));
      return;
    }
    this.#isReady = true;
    this.#ready.resolve();
  }

  #end(code: number): void {
    const err = new Error(`connection ${this.index} was closed with ${code}`);
    this.#ready.reject(err);
    this.#closed.resolve(code);
    if (!this.#isClosing) this.onBroken(err);
  }
}

/** Opens many, at most `atOnce` at the same time. @param first index of the first */
export async function openClients(target: LoadTarget, count: number, first = 0, atOnce = 32): Promise<LoadClient[]> {
  const clients: LoadClient[] = [];
  let next = 0;
  const openMore = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      clients[index] = await LoadClient.open(target, first + index);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, openMore));
  } catch (err) {
    next = count;
    for (const client of clients) client?.drop();
    throw err;
  }
  return clients;
}

/** Closes all of them; who does not answer within two seconds is cut off. */
export async function closeClients(clients: readonly LoadClient[]): Promise<void> {
  const timer = setTimeout(() => {
    for (const client of clients) client.drop();
  }, 2_000);
  await Promise.all(clients.map((client) => client.close()));
  clearTimeout(timer);
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
