/**
 * What is asked of the instances that have connections of a user or members of a channel, and how they answer. The address
 * is not in the bytes: it is what the question was sent to.
 *
 *     send        op(1: text, 2: binary) length(1) excepted-id length(1) idempotency-key data
 *     disconnect  op(3) close-code(2, big-endian) reason
 *     join        op(4) channel
 *     leave       op(5) channel
 *     list        op(6) filter-as-JSON
 *     result      instance-id(12) state(1: more follows, 2: done) result-as-JSON
 *
 * As in `codec.ts`, decoders accept only what a gateway would have written.
 */

import { isUtf8 } from 'node:buffer';
import { closeCodes, isCloseReason, isOwnClose, isServiceCloseCode } from '../close.ts';
import { nameProblem } from '../names.ts';
import { isConnectionId } from './connection-id.ts';
import { isIdempotencyKey } from './idempotency-key.ts';

export type Question =
  | {
      readonly kind: 'send';
      readonly data: Uint8Array;
      readonly isBinary: boolean;
      readonly except: string | undefined;
      /** Whoever has done it under this key does not do it again. */
      readonly key: string | undefined;
    }
  | { readonly kind: 'disconnect'; readonly closeCode: number; readonly reason: string }
  /** For the connections of a user. */
  | { readonly kind: 'join' | 'leave'; readonly channel: string }
  | { readonly kind: 'list'; readonly filter: Filter };

/** Which connections are listed: of what was asked, those that fit every field, in the order of their ids. */
export interface Filter {
  /** 0 to 1,000. */
  readonly limit: number;
  /** A connection id: those that come after it. */
  readonly after?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly user?: string | undefined;
  readonly channel?: string | undefined;
}

/** What one instance did. Counts of connections. */
export interface Result {
  /** Those that the question concerned. */
  readonly connections: number;
  /** Of a message: given to these. */
  readonly sent?: number | undefined;
  /** Of a message: these were too slow for it, and are closed. */
  readonly full?: number | undefined;
  /** Of a join: these are in as many channels as they may be. */
  readonly refused?: number | undefined;
  /** Of a list: as `GET /connections/{id}` has them. */
  readonly list?: readonly Description[] | undefined;
}

/** What is said of a connection; at least its id. */
export interface Description {
  readonly connection_id: string;
  readonly [fact: string]: unknown;
}

export interface InstanceResult {
  readonly instanceId: string;
  /** Undefined: it is at work and answers once more. */
  readonly result: Result | undefined;
}

const ops = { text: 1, binary: 2, disconnect: 3, join: 4, leave: 5, list: 6 } as const;
const states = { atWork: 1, done: 2 } as const;
const idBytes = 12;
/** Connections that one instance lists at once. */
export const maxList = 1_000;

export function encodeQuestion(question: Question): Uint8Array {
  switch (question.kind) {
    case 'send': {
      const op = question.isBinary ? ops.binary : ops.text;
      return Buffer.concat([Buffer.from([op]), sized(question.except), sized(question.key), question.data]);
    }
    case 'disconnect': {
      const { closeCode, reason } = question;
      return Buffer.concat([Buffer.from([ops.disconnect, closeCode >> 8, closeCode & 255]), Buffer.from(reason)]);
    }
    case 'join':
    case 'leave':
      return Buffer.concat([Buffer.from([ops[question.kind]]), Buffer.from(question.channel)]);
    case 'list':
      return Buffer.concat([Buffer.from([ops.list]), Buffer.from(JSON.stringify(question.filter))]);
  }
}

/** Undefined when no gateway writes such bytes in this release. */
export function decodeQuestion(payload: Uint8Array): Question | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  switch (bytes[0]) {
    case ops.text:
    case ops.binary:
      return decodeSend(bytes);
    case ops.disconnect:
      return decodeDisconnect(bytes);
    case ops.join:
    case ops.leave: {
      const kind = bytes[0] === ops.join ? 'join' : 'leave';
      const channel = bytes.toString('utf8', 1);
      return isUtf8(bytes.subarray(1)) && nameProblem(channel) === undefined ? { kind, channel } : undefined;
    }
    case ops.list: {
      const filter = readFilter(bytes.subarray(1));
      return filter === undefined ? undefined : { kind: 'list', filter };
    }
    default:
      return undefined;
  }
}

export function encodeInstanceResult({ instanceId, result }: InstanceResult): Uint8Array {
  const state = result === undefined ? states.atWork : states.done;
  const json = result === undefined ? '' : JSON.stringify(result);
  return Buffer.concat([Buffer.from(instanceId, 'latin1'), Buffer.from([state]), Buffer.from(json)]);
}

/** Undefined when no gateway writes such bytes in this release. */
export function decodeInstanceResult(payload: Uint8Array): InstanceResult | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const instanceId = bytes.toString('latin1', 0, idBytes);
  if (!/^[0-9a-f]{12}$/.test(instanceId)) return undefined;
  if (bytes[idBytes] === states.atWork) return { instanceId, result: undefined };
  if (bytes[idBytes] !== states.done || !isUtf8(bytes)) return undefined;
  const result = readResult(bytes.toString('utf8', idBytes + 1));
  return result === undefined ? undefined : { instanceId, result };
}

function decodeSend(bytes: Buffer): Question | undefined {
  const except = readSized(bytes, 1, isConnectionId);
  const key = except && readSized(bytes, except.end, isIdempotencyKey);
  if (key === undefined) return undefined;
  const data = bytes.subarray(key.end);
  const isBinary = bytes[0] === ops.binary;
  if (!isBinary && !isUtf8(data)) return undefined;
  return { kind: 'send', data, isBinary, except: except?.text, key: key.text };
}

function decodeDisconnect(bytes: Buffer): Question | undefined {
  if (bytes.length < 3 || !isUtf8(bytes.subarray(3))) return undefined;
  const closeCode = bytes.readUInt16BE(1);
  const reason = bytes.toString('utf8', 3);
  const isSendable = isServiceCloseCode(closeCode) || closeCode === closeCodes.policyViolation;
  return isSendable && isCloseReason(reason) && !isOwnClose(closeCode, reason)
    ? { kind: 'disconnect', closeCode, reason }
    : undefined;
}

/** A text, or none, with its length before it. */
function sized(text = ''): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}

/** A text, or none, with its length before it; undefined when it is neither. */
function readSized(
  bytes: Buffer,
  at: number,
  isValid: (text: string) => boolean,
): { readonly text: string | undefined; readonly end: number } | undefined {
  const end = at + 1 + (bytes[at] ?? 0);
  if (at >= bytes.length || end > bytes.length) return undefined;
  const text = bytes.toString('latin1', at + 1, end);
  if (text === '') return { text: undefined, end };
  return isValid(text) ? { text, end } : undefined;
}

function readFilter(json: Buffer): Filter | undefined {
  const value = isUtf8(json) ? readObject(json.toString()) : undefined;
  if (value === undefined) return undefined;
  const { limit, after, endpoint, user, channel } = value as Partial<Filter>;
  if (!isCount(limit) || Number(limit) > maxList) return undefined;
  if (after !== undefined && !(typeof after === 'string' && isConnectionId(after))) return undefined;
  if (endpoint !== undefined && !(typeof endpoint === 'string' && endpoint.startsWith('/'))) return undefined;
  if ([user, channel].some((name) => name !== undefined && nameProblem(name) !== undefined)) return undefined;
  return { limit: Number(limit), after, endpoint, user, channel };
}

function readResult(json: string): Result | undefined {
  const value = readObject(json);
  if (value === undefined || !isCount(value.connections)) return undefined;
  const { connections, sent, full, refused, list } = value as Partial<Result>;
  if (![sent, full, refused].every((count) => count === undefined || isCount(count))) return undefined;
  if (list !== undefined && !(Array.isArray(list) && list.every(isDescription))) return undefined;
  return { connections: Number(connections), sent, full, refused, list };
}

/** Undefined when it is no JSON object. */
function readObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not JSON, which is the answer.
    return undefined;
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isDescription(value: unknown): value is Description {
  const id = (value as { connection_id?: unknown } | null)?.connection_id;
  return typeof id === 'string' && isConnectionId(id);
}
