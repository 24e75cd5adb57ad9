/**
 * Keeps what is unfinished or queued because of clients within one budget: unfinished messages, messages that wait for
 * the bus, data that clients do not read, handshakes under way. Beyond it the largest connections are closed with 1013,
 * and new ones are refused until there is room again.
 *
 * Adding up every connection is too much to do for every read, so it is done ten times a second, only while the process
 * is large enough for the budget to matter, and whenever a share of the budget has been read since: one turn of the event
 * loop can read from every socket before any timer runs.
 */

import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { closureFor } from './closure.ts';
import type { Connection } from './connection.ts';
import type { LiveSocketPolicy } from './policy.ts';

const checkMs = 100;
/** What a handshake keeps: its headers, up to four times, and the call to the authorizer. */
const handshakeBytes = 65_536;
/** The share of the budget after whose reading it is checked at once. */
const readShare = 1 / 32;
/** The share of the budget over which new connections are refused. */
const fullShare = 0.9;
/** The share down to which connections are closed, so that the next client does not cause the next closure. */
const closeToShare = 0.8;

/** What it watches. */
export interface MemoryHolders {
  readonly connections: ReadonlyMap<string, Connection>;
  pendingHandshakes(): number;
  /** Connections were closed. */
  exhausted(facts: { readonly closed: number; readonly keptBytes: number; readonly maxBytes: number }): void;
}

export class MemoryGuard {
  readonly #policy: LiveSocketPolicy;
  readonly #holders: MemoryHolders;
  readonly #defaultBytes = defaultBudgetBytes();
  #timer: NodeJS.Timeout | undefined;
  #isFull = false;
  /** Read from clients since the last check. */
  #readBytes = 0;

  constructor(policy: LiveSocketPolicy, holders: MemoryHolders) {
    this.#policy = policy;
    this.#holders = holders;
  }

  /** True while new connections are refused. */
  get isFull(): boolean {
    return this.#isFull;
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), checkMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Call it for everything that is read from a client. */
  read(bytes: number): void {
    this.#readBytes += bytes;
    if (this.#readBytes > this.#maxBytes * readShare) this.#check();
  }

  get #maxBytes(): number {
    return this.#policy.current.limits.maxMemoryBytes || this.#defaultBytes;
  }

  #check(): void {
    this.#readBytes = 0;
    const maxBytes = this.#maxBytes;
    if (process.memoryUsage.rss() < maxBytes / 2) {
      this.#isFull = false;
      return;
    }
    const { connections, pendingHandshakes } = this.#holders;
    const kept = [...connections.values()].map((connection) => ({ connection, bytes: connection.keptBytes }));
    const keptBytes = kept.reduce((sum, { bytes }) => sum + bytes, pendingHandshakes() * handshakeBytes);
    this.#isFull = keptBytes > maxBytes * fullShare;
    if (keptBytes <= maxBytes) return;
    kept.sort((a, b) => b.bytes - a.bytes);
    let left = keptBytes;
    let closed = 0;
    for (const { connection, bytes } of kept) {
      if (left <= maxBytes * closeToShare) break;
      if (connection.state === 'opening') continue;
      connection.cut(closureFor('HYD_MEMORY_EXHAUSTED'));
      left -= bytes;
      closed += 1;
    }
    this.#holders.exhausted({ closed, keptBytes, maxBytes });
  }
}

/**
 * A quarter of what the container may have, or else the machine has, but no more than half of the heap. Under an attack
 * a process takes two to three times its budget: what was freed is collected later, and memory gets fragmented.
 */
function defaultBudgetBytes(): number {
  // 0 or a huge number when there is no limit.
  const container = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(Math.min(container, totalmem()) / 4, getHeapStatistics().heap_size_limit / 2);
}
