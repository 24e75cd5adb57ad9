/** Writes one message to many connections, in turns of the event loop, one message after another. */

import type { GatewayMetrics } from '../role/metrics.ts';
import type { Connection } from '../socket/connection.ts';

export interface FanOutDeps {
  readonly metrics: Pick<GatewayMetrics, 'sent' | 'sentBytes'>;
  /** Bytes of the largest message that a client's buffer takes. */
  maxFrameBytes(): number;
  /** False once others may call these connections gone. */
  isAlive(): boolean;
}

export interface FannedOut {
  /** Connections that could be sent to. */
  readonly connections: number;
  readonly sent: number;
  /** Connections too slow for it, which are closed; or all of them, if it is larger than the buffer of a client. */
  readonly full: number;
}

/** Connections written to before other work gets a turn. */
const fanOutBatch = 256;

export class FanOut {
  readonly #deps: FanOutDeps;
  /** The message that is being written, with those that wait behind it. */
  #last: Promise<FannedOut> | undefined;

  constructor(deps: FanOutDeps) {
    this.#deps = deps;
  }

  /**
   * Messages reach a connection in the order of these calls. A message to a few connections is written at once, if no other
   * one is under way. Never rejects.
   * @param targets read when it is written
   */
  write(targets: () => Iterable<Connection>, data: Uint8Array, isBinary: boolean): FannedOut | Promise<FannedOut> {
    if (this.#last === undefined) {
      const list = [...targets()];
      if (list.length <= fanOutBatch) return this.#writeBatch(list, data, isBinary);
    }
    const before = this.#last ?? Promise.resolve();
    const written = before.then(() => this.#writeAll([...targets()], data, isBinary));
    this.#last = written;
    void written.then(() => {
      if (this.#last === written) this.#last = undefined;
    });
    return written;
  }

  async #writeAll(targets: readonly Connection[], data: Uint8Array, isBinary: boolean): Promise<FannedOut> {
    const all = { connections: 0, sent: 0, full: 0 };
    for (let i = 0; i < targets.length; i += fanOutBatch) {
      if (i > 0) await new Promise(setImmediate);
      const { connections, sent, full } = this.#writeBatch(targets.slice(i, i + fanOutBatch), data, isBinary);
      all.connections += connections;
      all.sent += sent;
      all.full += full;
    }
    return all;
  }

  #writeBatch(targets: readonly Connection[], data: Uint8Array, isBinary: boolean): FannedOut {
    const { metrics } = this.#deps;
    const alive = this.#deps.isAlive() ? targets.filter(({ isEnding }) => !isEnding) : [];
    let sent = 0;
    const isTooLarge = data.byteLength > this.#deps.maxFrameBytes();
    for (const connection of isTooLarge ? [] : alive) {
      if (!connection.offer(data, isBinary)) continue;
      sent += 1;
      metrics.sent.add(connection.endpoint);
      metrics.sentBytes.add(connection.endpoint, data.byteLength);
    }
    return { connections: alive.length, sent, full: alive.length - sent };
  }
}
