/**
 * Headers and acknowledgement subjects as bytes and strings. The `nats` package builds and parses headers through maps
 * and per-character checks, which costs more than everything else about a small message; here a header block is one
 * string. Two undocumented facts of the pinned version are used: `publish` calls only `encode()` of its headers, and a
 * message keeps its raw header bytes. The second has a fallback.
 */

import type { Msg, MsgHdrs } from 'nats';

/** Names of our own headers, and of the server's that we read or write. */
export const headerNames = {
  messageId: 'Nats-Msg-Id',
  callback: 'hydrogen-callback',
  /** On an entry: the version of its form, and the number of its messages. */
  entry: 'hydrogen-entry',
  /** On a replayed dead letter: the processor that it is for. */
  replayFor: 'hydrogen-replay-for',
  /** On a replayed dead letter and on a parked message: its original id. */
  originalId: 'hydrogen-message-id',
  deadLetter: 'hydrogen-dead-letter',
  /** On a parked message: the requests that were sent for it. */
  attempts: 'hydrogen-attempts',
  /** On a parked message: milliseconds since the epoch before which it must not be tried. */
  dueAt: 'hydrogen-due-at',
  /** On a parked message: milliseconds since the epoch at which the client's message was stored. */
  storedAt: 'hydrogen-stored-at',
  /** On a parked message that only waits to become a dead letter: why. */
  parkedCause: 'hydrogen-cause',
  pendingMessages: 'Nats-Pending-Messages',
  /** On a heartbeat: the number of the last delivery of the consumer. */
  lastConsumer: 'Nats-Last-Consumer',
} as const;

const version = 'NATS/1.0';
/** JetStream's `err_code` for a message above the stream's own limit. */
const messageTooLargeCode = 10054;
/** JetStream's `err_code` for everything that a stream could not store; only the text says why. */
const storeFailedCode = 10077;

/** A header block of `Name: value` lines. Names and values must be ASCII without line breaks. */
export function headerBlock(lines: readonly (readonly [name: string, value: string])[]): string {
  let block = version;
  for (const [name, value] of lines) block += `\r\n${name}: ${checkedValue(value)}`;
  return `${block}\r\n\r\n`;
}

/** The value itself if it is valid in a header. @throws RangeError if it is not */
export function checkedValue(value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  throw new RangeError(`${JSON.stringify(value.slice(0, 80))} is not valid in a header`);
}

/** A complete block as the headers that `publish` of the `nats` package takes. */
export function rawHeaders(block: string): MsgHdrs {
  // The declared type asks for a whole map of headers; `publish` calls `encode` and nothing else.
  return { encode: () => Buffer.from(block, 'latin1') } as unknown as MsgHdrs;
}

/** The header block of a received message, empty when it has none. */
export function receivedHeaders(msg: Msg): string {
  const { _msg: frame, _rdata: bytes } = msg as Msg & { _msg?: { hdr?: unknown }; _rdata?: unknown };
  const length = frame?.hdr;
  if (typeof length === 'number' && bytes instanceof Uint8Array) {
    return length < 0 ? '' : Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('latin1');
  }
  const headers = msg.headers;
  if (headers === undefined) return '';
  const lines = headers.keys().map((name) => `\r\n${name}: ${headers.get(name)}`);
  return `${version} ${headers.status}${lines.join('')}\r\n\r\n`;
}

/** JSON whose characters are all valid in a header. */
export function asciiJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Value of the first header of this name, undefined when there is none. */
export function headerValue(block: string, name: string): string | undefined {
  const mark = `\r\n${name}:`;
  const at = block.indexOf(mark);
  if (at < 0) return undefined;
  return block.slice(at + mark.length, block.indexOf('\r\n', at + mark.length)).trim();
}

/** The status code of a block such as `NATS/1.0 503 No Responders`, 0 when it has none. */
export function statusCodeOf(block: string): number {
  return block.charCodeAt(version.length) === 0x20 ? Number.parseInt(block.slice(version.length + 1), 10) || 0 : 0;
}

/** The text after the status code. */
export function statusTextOf(block: string): string {
  return block.slice(version.length + 5, block.indexOf('\r\n'));
}

/** True for the server's answer that a subject has no subscriber. */
export function isNoResponders(msg: Msg): boolean {
  return msg.data.length === 0 && statusCodeOf(receivedHeaders(msg)) === 503;
}

/** The fields in the reply subject of a delivery. */
export interface AckSubject {
  readonly consumer: string;
  readonly attempt: number;
  readonly streamSequence: number;
  /** The number of this delivery among all of its consumer. */
  readonly consumerSequence: number;
  readonly storedAtMs: number;
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<nanoseconds>.<pending>` and the longer
 * form that puts domain and account before the stream. Undefined when it is neither.
 */
export function parseAckSubject(reply: string | undefined): AckSubject | undefined {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return undefined;
  const tokens = reply.split('.');
  if (tokens.length !== 9 && tokens.length < 11) return undefined;
  const at = tokens.length === 9 ? 3 : 5;
  const consumer = tokens[at];
  const attempt = Number(tokens[at + 1]);
  const streamSequence = Number(tokens[at + 2]);
  const consumerSequence = Number(tokens[at + 3]);
  const storedAtMs = Number(tokens[at + 4]?.slice(0, -6));
  if (consumer === undefined || !(attempt > 0) || !(streamSequence > 0) || !(storedAtMs > 0)) return undefined;
  return { consumer, attempt, streamSequence, consumerSequence, storedAtMs };
}

/**
 * A stream's answer to a message. `large`: the stream will never accept it. `full`: it has reached one of its limits, such
 * as `maximum bytes exceeded` or `maximum messages per subject exceeded`.
 * @param accepted the first bytes of its acknowledgements: when a sequence above zero follows them, no JSON is parsed
 */
export function judgeAck(data: Uint8Array, accepted: Uint8Array): 'stored' | 'refused' | 'large' | 'full' {
  const digit = data[accepted.length];
  if (digit !== undefined && digit >= 0x31 && digit <= 0x39 && startsWith(data, accepted)) return 'stored';
  if (data.length === 0) return 'refused';
  try {
    const ack = JSON.parse(Buffer.from(data).toString()) as {
      error?: { err_code?: number; description?: string };
      seq?: number;
    };
    const { err_code: code, description = '' } = ack.error ?? {};
    if (code === messageTooLargeCode) return 'large';
    if (code === storeFailedCode && description.startsWith('maximum ')) return 'full';
    return ack.error === undefined && ack.seq !== undefined && ack.seq > 0 ? 'stored' : 'refused';
  } catch {
    // The answer is not from a stream, so the message is not stored.
    return 'refused';
  }
}

/** The sequence under which the stream has stored a message, from an acknowledgement that was judged `stored`. */
export function storedSequence(data: Uint8Array, accepted: Uint8Array): number {
  if (!startsWith(data, accepted)) {
    const { seq } = JSON.parse(Buffer.from(data).toString()) as { seq?: number };
    return seq ?? 0;
  }
  let sequence = 0;
  for (let at = accepted.length; at < data.length; at++) {
    const digit = (data[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return sequence;
    sequence = sequence * 10 + digit;
  }
  return sequence;
}

function startsWith(data: Uint8Array, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (data[i] !== prefix[i]) return false;
  return true;
}
