/**
 * The lines in which a publisher's messages wait. A line has one message of the stream in flight, so everything in it is
 * stored in order. There are three kinds:
 *
 * - `single`: of one connection; each message is stored by itself;
 * - `shared`: of the connections of one lane to one endpoint; what waits goes into one entry;
 * - `apart`: the same of one connection, whose entries have a subject of their own.
 *
 * A connection is in one line at a time, which keeps its order whatever becomes of other lines. Its messages for another
 * line wait until nothing of it is left in the one where it is.
 */

import type { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type { Subjects } from '../subjects.ts';
import { type ClientHeaders, encodeEntry, maxEntryBytes, maxMembers, memberBytes } from './entry.ts';

/** What is known of the consumers of the stream. */
export interface PublishForms {
  /** How a message to this endpoint is to be written now; undefined: it would not be kept for anybody, or is not known. */
  formOf(endpoint: string): 'single' | 'entry' | undefined;
  /** True while an entry to this endpoint is kept for everybody who gets messages to it. */
  keepsEntries(endpoint: string): boolean;
}

/** A client message that is not stored yet. */
export interface Waiting extends ClientMessage {
  /** Its entries have a subject of their own. */
  readonly isApart: boolean;
  /** How it is stored, if that is decided: by itself. */
  readonly fixed: { readonly subject: string; readonly headers: string } | undefined;
  /** @param position 0 when it is stored by itself */
  readonly resolve: (position: number) => void;
  readonly reject: (error: HydrogenError) => void;
}

type LineKind = 'single' | 'shared' | 'apart';

/** One message of the stream: a client message by itself, or an entry. It never changes once it was sent. */
export interface Outgoing {
  readonly number: number;
  readonly line: Line;
  /** Empty once it is done. */
  messages: readonly Waiting[];
  readonly subject: string;
  readonly headers: string;
  readonly bytes: number;
  payload: Uint8Array;
  state: 'unsent' | 'sent' | 'done';
  /** When it was last sent. */
  sentAtMs: number;
  /** When it was sent first of all attempts that may still be answered; 0: it has not been. */
  firstSentAtMs: number;
}

export interface Line {
  readonly kind: LineKind;
  readonly key: string;
  readonly endpoint: string;
  readonly lane: number;
  /** Undefined: shared. */
  readonly connectionId: string | undefined;
  readonly queue: Fifo<Waiting>;
  /** What comes before the queue, in order: parts of an entry that was too large. */
  parts: (readonly Waiting[])[];
  inFlight: Outgoing | undefined;
  /** True while it is among the lines that have something to send. */
  isReady: boolean;
}

/** Where the messages of a connection are. */
interface Seat {
  line: Line;
  /** Its messages in that line, the one in flight included. */
  messages: number;
  /** Its messages for another line. */
  moving: Fifo<Waiting> | undefined;
}

export class Lines {
  readonly #subjects: Subjects;
  readonly #headers: ClientHeaders;
  readonly #formOf: PublishForms['formOf'];
  readonly #maxBytes: () => number;
  readonly #lines = new Map<string, Line>();
  readonly #seats = new Map<string, Seat>();
  #lastNumber = 0;

  /**
   * @param formOf how a message to an endpoint is to be written; while that is not known, a connection stays where it is
   * @param maxBytes the largest entry that is worth a try
   */
  constructor(subjects: Subjects, headers: ClientHeaders, formOf: PublishForms['formOf'], maxBytes: () => number) {
    this.#subjects = subjects;
    this.#headers = headers;
    this.#formOf = formOf;
    this.#maxBytes = maxBytes;
  }

  /** The connections that have messages here. */
  get connectionIds(): string[] {
    return [...this.#seats.keys()];
  }

  /** Returns the line that it now stands in; undefined while it waits for another one. */
  add(message: Waiting): Line | undefined {
    const { connectionId } = message;
    const seat = this.#seats.get(connectionId);
    if (seat === undefined) {
      const line = this.#lineOf(message);
      this.#seats.set(connectionId, { line, messages: 1, moving: undefined });
      line.queue.push(message);
      return line;
    }
    if (seat.moving === undefined && this.#belongs(message, seat.line)) {
      seat.messages += 1;
      seat.line.queue.push(message);
      return seat.line;
    }
    seat.moving ??= new Fifo();
    seat.moving.push(message);
    return undefined;
  }

  /** A message has ended. Returns the line that its connection has moved to, if it has. */
  remove({ connectionId }: Waiting): Line | undefined {
    const seat = this.#seats.get(connectionId);
    if (seat === undefined) return undefined;
    seat.messages -= 1;
    if (seat.messages > 0) return undefined;
    const first = seat.moving?.peek();
    if (seat.moving === undefined || first === undefined) {
      this.#seats.delete(connectionId);
      return undefined;
    }
    return this.#move(seat, seat.moving, first);
  }

  /** Forms what is sent next; undefined when the line is empty. */
  next(line: Line): Outgoing | undefined {
    const messages = line.parts.shift() ?? this.#gather(line);
    const [first] = messages;
    if (first === undefined) return undefined;
    const outgoing = line.kind === 'single' ? this.#single(line, first) : this.#entry(line, messages, first);
    line.inFlight = outgoing;
    return outgoing;
  }

  isEmpty({ queue, parts }: Line): boolean {
    return queue.length === 0 && parts.length === 0;
  }

  /** Forgets a line in which nothing is left. */
  tidy(line: Line): void {
    if (this.isEmpty(line) && line.inFlight === undefined) this.#lines.delete(line.key);
  }

  /** Makes two of an entry that is not stored. */
  split(outgoing: Outgoing): void {
    const { line, messages } = outgoing;
    const half = Math.ceil(messages.length / 2);
    line.inFlight = undefined;
    line.parts.unshift(messages.slice(0, half), messages.slice(half));
  }

  /** Everything in a line of entries goes to the lines of its connections, in order. Returns those. */
  dissolve(line: Line): Set<Line> {
    const all = [...(line.inFlight?.messages ?? []), ...line.parts.flat(), ...line.queue.drain()];
    line.inFlight = undefined;
    line.parts = [];
    this.#lines.delete(line.key);
    const lines = new Set<Line>();
    for (const message of all) {
      const seat = this.#seats.get(message.connectionId);
      const own = this.#line('single', message);
      if (seat !== undefined) seat.line = own;
      own.queue.push(message);
      lines.add(own);
    }
    return lines;
  }

  /** Removes everything and returns it. */
  drain(): Waiting[] {
    const all = Array.from(this.#lines.values(), ({ inFlight, parts, queue }) => [
      ...(inFlight?.messages ?? []),
      ...parts.flat(),
      ...queue.drain(),
    ]).flat();
    for (const { moving } of this.#seats.values()) all.push(...(moving?.drain() ?? []));
    this.#lines.clear();
    this.#seats.clear();
    return all;
  }

  #move(seat: Seat, moving: Fifo<Waiting>, first: Waiting): Line {
    seat.line = this.#lineOf(first);
    for (let next = moving.peek(); next !== undefined && this.#belongs(next, seat.line); next = moving.peek()) {
      moving.shift();
      seat.line.queue.push(next);
      seat.messages += 1;
    }
    if (moving.length === 0) seat.moving = undefined;
    return seat.line;
  }

  #kindOf({ endpoint, isApart, fixed }: Waiting): LineKind {
    if (fixed !== undefined || this.#formOf(endpoint) === 'single') return 'single';
    return isApart ? 'apart' : 'shared';
  }

  #belongs(message: Waiting, { kind, endpoint }: Line): boolean {
    if (message.endpoint !== endpoint) return false;
    return this.#kindOf(message) === kind || (kind === 'single' && this.#formOf(endpoint) === undefined);
  }

  #lineOf(message: Waiting): Line {
    return this.#line(this.#kindOf(message), message);
  }

  #line(kind: LineKind, { endpoint, connectionId }: Waiting): Line {
    const lane = this.#subjects.laneOf(endpoint, connectionId);
    const key = `${kind} ${kind === 'shared' ? lane : connectionId} ${endpoint}`;
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const line: Line = {
      kind,
      key,
      endpoint,
      lane,
      connectionId: kind === 'shared' ? undefined : connectionId,
      queue: new Fifo(),
      parts: [],
      inFlight: undefined,
      isReady: false,
    };
    this.#lines.set(key, line);
    return line;
  }

  /** Takes the messages of the next entry off the queue: they have one callback, and fit together. */
  #gather({ kind, queue }: Line): Waiting[] {
    const first = queue.shift();
    if (first === undefined) return [];
    const messages = [first];
    if (kind === 'single') return messages;
    const most = Math.min(maxEntryBytes, this.#maxBytes());
    let bytes = memberBytes(first);
    for (let next = queue.peek(); next !== undefined && messages.length < maxMembers; next = queue.peek()) {
      bytes += memberBytes(next);
      if (bytes > most || next.callbackUrl !== first.callbackUrl) break;
      queue.shift();
      messages.push(next);
    }
    return messages;
  }

  #single(line: Line, message: Waiting): Outgoing {
    const { id, endpoint, connectionId, callbackUrl, payload, fixed } = message;
    const subject = fixed?.subject ?? this.#subjects.clientMessage(endpoint, connectionId);
    const headers = fixed?.headers ?? this.#headers.single(id, callbackUrl);
    return this.#outgoing(line, [message], subject, headers, payload);
  }

  #entry(line: Line, messages: readonly Waiting[], first: Waiting): Outgoing {
    let bytes = 0;
    for (const message of messages) bytes += memberBytes(message);
    const subject = this.#subjects.entry(line.endpoint, line.lane, line.connectionId);
    const headers = this.#headers.entry(first.id, messages.length, first.callbackUrl);
    return this.#outgoing(line, messages, subject, headers, encodeEntry(messages, bytes));
  }

  #outgoing(line: Line, messages: readonly Waiting[], subject: string, headers: string, payload: Uint8Array): Outgoing {
    const number = ++this.#lastNumber;
    const bytes = payload.byteLength;
    const unsent = { state: 'unsent', sentAtMs: 0, firstSentAtMs: 0 } as const;
    return { number, line, messages, subject, headers, bytes, payload, ...unsent };
  }
}
