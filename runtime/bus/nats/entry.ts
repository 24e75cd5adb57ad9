/**
 * An entry on the wire: one stored message that holds several client messages of one endpoint and callback, each whole.
 *
 * Headers: `Nats-Msg-Id` for deduplication, `hydrogen-callback`, and `hydrogen-entry: <version> <count>`. The body is, for
 * each message in order:
 *
 *     2 bytes  length of the message id        then the id, ASCII
 *     2 bytes  length of the connection id     then the id, ASCII
 *     4 bytes  length of the payload           then the payload
 *
 * Lengths are big-endian. Nothing follows the last message.
 */

import type { ClientMessage } from '../port/client-message.ts';
import { type EntrySubject, laneOfConnection } from '../subjects.ts';
import { checkedValue, headerNames, headerValue } from './wire.ts';

/** A client message as an entry holds it. */
export type EntryMember = Pick<ClientMessage, 'id' | 'connectionId' | 'payload'>;

/** Most messages in one entry; a reader accepts no more. */
export const maxMembers = 256;
/** Bytes of an entry above which no further message joins it. A single message may be larger. */
export const maxEntryBytes = 128 * 1024;

const version = '1';
const idPattern = /^[A-Za-z0-9-]+$/;
const maxIdBytes = 65_535;
const lengthsBytes = 8;
const maxKnownCallbacks = 64;

/** Bytes that a message takes in the body of an entry. */
export function memberBytes({ id, connectionId, payload }: EntryMember): number {
  return lengthsBytes + id.length + connectionId.length + payload.byteLength;
}

/** The id itself, if it is valid. @throws RangeError if it is not */
export function checkedMessageId(id: string): string {
  if (idPattern.test(id) && id.length <= maxIdBytes) return id;
  throw new RangeError(`not a message id: ${JSON.stringify(id.slice(0, 80))}`);
}

/** The body of an entry. Ids must have been checked. @param bytes the sum of `memberBytes` */
export function encodeEntry(members: readonly EntryMember[], bytes: number): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const { id, connectionId, payload } of members) {
    at = body.writeUInt16BE(id.length, at);
    at += body.write(id, at, 'latin1');
    at = body.writeUInt16BE(connectionId.length, at);
    at += body.write(connectionId, at, 'latin1');
    at = body.writeUInt32BE(payload.byteLength, at);
    body.set(payload, at);
    at += payload.byteLength;
  }
  return body;
}

/**
 * The messages of an entry, in order. Each payload is a copy, so that none keeps the whole entry in memory.
 * Undefined when it is not an entry that this release reads, or its body is not what subject and headers say.
 */
export function decodeEntry(block: string, body: Uint8Array, subject: EntrySubject): EntryMember[] | undefined {
  const [form, countText] = (headerValue(block, headerNames.entry) ?? '').split(' ');
  const count = Number(countText);
  if (form !== version || !Number.isInteger(count) || count < 1 || count > maxMembers) return undefined;
  const reader = new BodyReader(body);
  const members: EntryMember[] = [];
  for (let index = 0; index < count; index++) {
    const id = reader.text(reader.length(2));
    const connectionId = reader.text(reader.length(2));
    const payload = reader.bytes(reader.length(4));
    if (id === undefined || connectionId === undefined || payload === undefined) return undefined;
    if (!isMember(id, connectionId, subject)) return undefined;
    // Not from the pool of buffers, where small ones share what they keep in memory.
    members.push({ id, connectionId, payload: new Uint8Array(payload) });
  }
  return reader.isAtEnd ? members : undefined;
}

function isMember(id: string, connectionId: string, subject: EntrySubject): boolean {
  if (!idPattern.test(id) || !idPattern.test(connectionId)) return false;
  if (subject.connectionId !== undefined) return connectionId === subject.connectionId;
  return laneOfConnection(connectionId) === subject.lane;
}

/** Reads a body front to back. Whatever it does not have is undefined, and so is all that follows. */
class BodyReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Uint8Array) {
    this.#body = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#body.byteLength;
  }

  length(size: 2 | 4): number | undefined {
    const field = this.bytes(size);
    return field?.readUIntBE(0, size);
  }

  bytes(length: number | undefined): Buffer | undefined {
    if (length === undefined || length > this.#body.byteLength - this.#at) return undefined;
    const from = this.#at;
    this.#at += length;
    return this.#body.subarray(from, this.#at);
  }

  text(length: number | undefined): string | undefined {
    return this.bytes(length)?.toString('latin1');
  }
}

/** Header blocks of client messages and entries. All of a gateway's differ only in what comes before the callback. */
export class ClientHeaders {
  /** The part of a block that follows the message id, by callback URL. */
  readonly #tails = new Map<string, string>();

  /** @throws RangeError when it is not valid in a header */
  check(callbackUrl: string): void {
    this.#tail(callbackUrl);
  }

  /** Of a message that is stored by itself. */
  single(id: string, callbackUrl: string): string {
    return `NATS/1.0\r\n${headerNames.messageId}: ${id}${this.#tail(callbackUrl)}`;
  }

  /**
   * Of an entry. Its id for deduplication follows from its first message and their number: sent again it is the same, and
   * it is never that of a single message.
   */
  entry(firstId: string, count: number, callbackUrl: string): string {
    const form = `${headerNames.entry}: ${version} ${count}`;
    return `NATS/1.0\r\n${headerNames.messageId}: ${firstId}*${count}\r\n${form}${this.#tail(callbackUrl)}`;
  }

  #tail(callbackUrl: string): string {
    const known = this.#tails.get(callbackUrl);
    if (known !== undefined) return known;
    const tail = `\r\n${headerNames.callback}: ${checkedValue(callbackUrl)}\r\n\r\n`;
    if (this.#tails.size < maxKnownCallbacks) this.#tails.set(callbackUrl, tail);
    return tail;
  }
}
