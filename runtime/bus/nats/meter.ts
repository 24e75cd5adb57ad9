/**
 * Limits what a NATS server can make a process read. The `nats` package keeps a protocol line or a message of any
 * length until it is complete, and answers every PING, so a server could exhaust the memory of a process that connects
 * to it.
 */

/** What a server may send before its connection is closed. */
export interface ServerLimits {
  /** Longest message, headers included. */
  readonly messageBytes: number;
  /** How much may arrive at once. A line costs far more work than a payload, so each of its bytes counts as 16. */
  readonly burstBytes: number;
  /** How fast that allowance grows back. It also grows with what is sent: see `creditFactor`. */
  readonly bytesPerSecond: number;
  /** Writes that the server has not read yet. */
  readonly unreadWrites: number;
}

/** The server sent more than may be read. The message has the details. */
export class ServerExcess extends Error {
  override readonly name = 'ServerExcess';
}

/** Longest protocol line: an INFO line names every server of a cluster. */
export const maxLineBytes = 65_536;

const lineFactor = 16;
/** What each line counts in addition to its bytes. */
const frameBytes = 256;
const newline = 10;

/**
 * How many bytes of allowance each byte sent to the server adds, since it may answer. The answer to a request that creates
 * a consumer costs about three times the request. A PING costs far more than its PONG adds.
 */
const creditFactor = 8;

/** Stricter than the package, which would read a different size from a line with a carriage return in it. */
const messageLine = /^(?:MSG|HMSG)[ \t]+\S+[ \t]+\d+[ \t]+(?:\S+[ \t]+){0,2}(?<size>\d+)\r\n$/i;
const otherLine = /^(?:INFO[ \t][^\r]*|PING|PONG|\+OK|-ERR[ \t][^\r]*)\r\n$/i;

/** Follows the protocol of one connection closely enough to know what the package will keep. */
export class ServerMeter {
  readonly #limits: ServerLimits;
  #state: 'line' | 'payload' | 'payloadEnd' = 'line';
  #line = '';
  #payloadLeft = 0;
  #allowance: number;
  #creditedMs = performance.now();

  constructor(limits: ServerLimits) {
    this.#limits = limits;
    this.#allowance = limits.burstBytes;
  }

  /** Adds the allowance for the answer to what is sent. */
  credit(bytes: number): void {
    this.#allowance = Math.min(this.#limits.burstBytes, this.#allowance + creditFactor * bytes);
  }

  /** Counts what has arrived. Returns why no more may be read, as a sentence; undefined when nothing is wrong. */
  take(chunk: Buffer): string | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'payload') {
        const length = Math.min(this.#payloadLeft, chunk.length - at);
        at += length;
        this.#payloadLeft -= length;
        if (this.#payloadLeft === 0) this.#state = 'payloadEnd';
        continue;
      }
      const end = chunk.indexOf(newline, at);
      const next = end < 0 ? chunk.length : end + 1;
      if (this.#line.length + next - at > maxLineBytes)
        return `the server sent a line of more than ${maxLineBytes} bytes`;
      this.#line += chunk.toString('latin1', at, next);
      at = next;
      const problem = end < 0 ? undefined : this.#endLine();
      if (problem !== undefined) return problem;
    }
    return this.#spend(chunk.length);
  }

  /** Takes a complete line. Returns why no more may be read. */
  #endLine(): string | undefined {
    const line = this.#line;
    this.#line = '';
    if (this.#state === 'payloadEnd') {
      this.#state = 'line';
      return line === '\r\n' ? undefined : notNats;
    }
    this.#allowance -= frameBytes + lineFactor * line.length;
    if (!/^H?MSG\s/i.test(line)) return otherLine.test(line) ? undefined : notNats;
    const { size } = messageLine.exec(line)?.groups ?? {};
    if (size === undefined) return notNats;
    const bytes = Number(size);
    if (bytes > this.#limits.messageBytes) {
      return `the server sent a message of ${bytes} bytes, and at most ${this.#limits.messageBytes} are read`;
    }
    this.#payloadLeft = bytes;
    this.#state = bytes === 0 ? 'payloadEnd' : 'payload';
    return undefined;
  }

  #spend(bytes: number): string | undefined {
    const { burstBytes, bytesPerSecond } = this.#limits;
    const nowMs = performance.now();
    const credit = ((nowMs - this.#creditedMs) * bytesPerSecond) / 1000;
    this.#creditedMs = nowMs;
    this.#allowance = Math.min(burstBytes, this.#allowance + credit) - bytes;
    if (this.#allowance >= 0) return undefined;
    return `the server sent more than ${burstBytes} bytes at once`;
  }
}

export const notNats = 'the server does not speak the NATS protocol';
