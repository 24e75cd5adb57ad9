/** Clients that send numbered messages continuously, reconnect when they are closed, and record what they sent. */

import { setTimeout as delay } from 'node:timers/promises';

import { type Client, connect } from '../kit/client.ts';
import type { RecordedRequest } from '../kit/destination.ts';

export interface Crowd extends AsyncDisposable {
  /** Close codes in the order of their arrival. */
  readonly codes: readonly number[];
  /** Attempts to connect that failed. */
  readonly refusals: number;
  /** Messages that must arrive: all except those sent on a socket that was closed with 1013, which may be unsaved. */
  promised(): string[];
  /** The promised messages that are in no request to a destination. */
  lost(requests: readonly RecordedRequest[]): string[];
  /** Clients that are connected now. */
  readonly connected: number;
  /** Sends nothing more. */
  stop(): Promise<void>;
}

const everyMs = 25;
const retryMs = 100;
/** The code by which a gateway says that it may not have saved everything. */
const unsaved = 1013;

/** @param addresses where clients can connect now */
export function startCrowd(size: number, addresses: () => Promise<string[]>): Crowd {
  const codes: number[] = [];
  const promised: string[][] = [];
  let refusals = 0;
  let connected = 0;
  let isOver = false;
  let last = 0;

  async function attach(): Promise<Client | undefined> {
    try {
      const all = await addresses();
      return await connect(all[Math.floor(Math.random() * all.length)] ?? '');
    } catch {
      refusals += 1;
      await delay(retryMs);
      return undefined;
    }
  }

  async function run(): Promise<void> {
    while (!isOver) {
      await using client = await attach();
      if (client === undefined) continue;
      connected += 1;
      const sent: string[] = [];
      while (!isOver && client.socket.readyState === client.socket.OPEN) {
        const text = `${last++}`;
        client.send(text);
        sent.push(text);
        await delay(everyMs);
      }
      if (isOver) client.socket.close(1000);
      const { code } = await client.closed;
      connected -= 1;
      if (code !== unsaved) promised.push(sent);
      if (!isOver) codes.push(code);
    }
  }

  const running = Promise.all(Array.from({ length: size }, run));
  const stop = async (): Promise<void> => {
    isOver = true;
    await running;
  };
  return {
    codes,
    promised: () => promised.flat(),
    lost: (requests) => {
      const arrived = new Set(requests.map((request) => request.json().message));
      return promised.flat().filter((text) => !arrived.has(text));
    },
    get refusals() {
      return refusals;
    },
    get connected() {
      return connected;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
