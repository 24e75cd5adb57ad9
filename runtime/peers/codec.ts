/**
 * The format in which gateways and processors of a group talk about connections over the bus: requests to the owner of
 * a connection and broadcasts. One byte says what it is; the data follows unencoded, so that a push is copied, not
 * parsed.
 *
 *     send        op(1: text, 2: binary) length(1) id data
 *     disconnect  op(3) length(1) id close-code(2, big-endian) reason
 *     describe    op(4) length(1) id
 *     join        op(8) length(1) id channel
 *     leave       op(9) length(1) id channel
 *     reply       op(5: text, 6: binary) length(1) id data
 *     replies     op(7) and for each length(4, big-endian) reply
 *     broadcast   op(1: text, 2: binary) length(4, big-endian) endpoints-as-JSON data
 *     answer      status(1) data; to replies that are done, the data has one digit for the status of each
 *
 * Whoever reaches the bus can send anything, so decoders accept only what a gateway or processor would have written:
 * well-formed connection ids, text that is UTF-8, close codes and reasons that a close frame can carry.
 */

import { isUtf8 } from 'node:buffer';
import { closeCodes, isCloseReason, isOwnClose, isServiceCloseCode } from '../close.ts';
import { nameProblem } from '../names.ts';
import type { OwnerStatus } from '../push-status.ts';
import { isConnectionId } from './connection-id.ts';

export type OwnerRequest =
  | { readonly kind: 'send'; readonly connectionId: string; readonly data: Uint8Array; readonly isBinary: boolean }
  /**
   * As send, but done when the owner has taken it: a client too slow for it is closed, and nothing waits for its
   * socket.
   */
  | { readonly kind: 'reply'; readonly connectionId: string; readonly data: Uint8Array; readonly isBinary: boolean }
  | { readonly kind: 'disconnect'; readonly connectionId: string; readonly closeCode: number; readonly reason: string }
  | { readonly kind: 'describe'; readonly connectionId: string }
  | { readonly kind: 'join' | 'leave'; readonly connectionId: string; readonly channel: string };

export type ReplyRequest = Extract<OwnerRequest, { readonly kind: 'reply' }>;

export interface Broadcast {
  /** Undefined: every endpoint. */
  readonly endpoints: readonly string[] | undefined;
  readonly data: Uint8Array;
  readonly isBinary: boolean;
}

const ops = {
  text: 1,
  binary: 2,
  disconnect: 3,
  describe: 4,
  replyText: 5,
  replyBinary: 6,
  replies: 7,
  join: 8,
  leave: 9,
} as const;
const statuses: readonly OwnerStatus[] = ['done', 'accepted', 'gone', 'full', 'tooLarge', 'invalid'];

export function encodeRequest(request: OwnerRequest): Uint8Array {
  const id = request.connectionId;
  switch (request.kind) {
    case 'send':
      return withData(request.isBinary ? ops.binary : ops.text, id, request.data);
    case 'reply':
      return withData(request.isBinary ? ops.replyBinary : ops.replyText, id, request.data);
    case 'disconnect': {
      const bytes = head(ops.disconnect, id, 2 + Buffer.byteLength(request.reason));
      bytes.writeUInt16BE(request.closeCode, 2 + id.length);
      bytes.write(request.reason, 4 + id.length);
      return bytes;
    }
    case 'describe':
      return head(ops.describe, id, 0);
    case 'join':
    case 'leave':
      return withData(ops[request.kind], id, Buffer.from(request.channel));
  }
}

/** Undefined when no member of the group writes such bytes in this release. */
export function decodeRequest(payload: Uint8Array): OwnerRequest | undefined {
  const bytes = asBuffer(payload);
  const rest = 2 + (bytes[1] ?? 0);
  if (bytes.length < rest) return undefined;
  const connectionId = bytes.toString('latin1', 2, rest);
  if (!isConnectionId(connectionId)) return undefined;
  const data = bytes.subarray(rest);
  switch (bytes[0]) {
    case ops.binary:
      return { kind: 'send', connectionId, data, isBinary: true };
    case ops.replyBinary:
      return { kind: 'reply', connectionId, data, isBinary: true };
    case ops.text:
      return isUtf8(data) ? { kind: 'send', connectionId, data, isBinary: false } : undefined;
    case ops.replyText:
      return isUtf8(data) ? { kind: 'reply', connectionId, data, isBinary: false } : undefined;
    case ops.disconnect:
      return decodeDisconnect(connectionId, data);
    case ops.join:
    case ops.leave:
      return decodeMembership(bytes[0] === ops.join ? 'join' : 'leave', connectionId, data);
    case ops.describe:
      return data.length === 0 ? { kind: 'describe', connectionId } : undefined;
    default:
      return undefined;
  }
}

/** @param requests replies, each encoded as a request of its own */
export function encodeReplies(requests: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(requests.reduce((sum, { byteLength }) => sum + 4 + byteLength, 1));
  bytes[0] = ops.replies;
  let at = 1;
  for (const request of requests) {
    at = bytes.writeUInt32BE(request.byteLength, at);
    bytes.set(request, at);
    at += request.byteLength;
  }
  return bytes;
}

/** Undefined when these are not replies, all of them readable. */
export function decodeReplies(payload: Uint8Array): ReplyRequest[] | undefined {
  const bytes = asBuffer(payload);
  if (bytes[0] !== ops.replies) return undefined;
  const replies: ReplyRequest[] = [];
  for (let at = 1; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const end = at + 4 + bytes.readUInt32BE(at);
    const request = end > bytes.length ? undefined : decodeRequest(bytes.subarray(at + 4, end));
    if (request?.kind !== 'reply') return undefined;
    replies.push(request);
    at = end;
  }
  return replies.length === 0 ? undefined : replies;
}

/** One digit for each. */
export function encodeStatuses(list: readonly OwnerStatus[]): string {
  return list.map((status) => statuses.indexOf(status)).join('');
}

/** A digit that is no status counts as `invalid`. */
export function decodeStatuses(digits: string): OwnerStatus[] {
  return Array.from(digits, (digit) => statuses[Number(digit)] ?? 'invalid');
}

function decodeMembership(kind: 'join' | 'leave', connectionId: string, data: Buffer): OwnerRequest | undefined {
  const channel = data.toString('utf8');
  return isUtf8(data) && nameProblem(channel) === undefined ? { kind, connectionId, channel } : undefined;
}

function decodeDisconnect(connectionId: string, data: Buffer): OwnerRequest | undefined {
  if (data.length < 2 || !isUtf8(data.subarray(2))) return undefined;
  const closeCode = data.readUInt16BE(0);
  const reason = data.toString('utf8', 2);
  const isSendable = isServiceCloseCode(closeCode) || closeCode === closeCodes.policyViolation;
  if (!isSendable || !isCloseReason(reason) || isOwnClose(closeCode, reason)) return undefined;
  return { kind: 'disconnect', connectionId, closeCode, reason };
}

export function encodeAnswer(status: OwnerStatus, data: string = ''): Uint8Array {
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(data));
  bytes[0] = statuses.indexOf(status);
  bytes.write(data, 1);
  return bytes;
}

export function decodeAnswer(payload: Uint8Array): { readonly status: OwnerStatus; readonly data: string } {
  const bytes = asBuffer(payload);
  const status = statuses[bytes[0] ?? -1];
  if (status === undefined || !isUtf8(bytes)) return { status: 'invalid', data: '' };
  return { status, data: bytes.toString('utf8', 1) };
}

export function encodeBroadcast(broadcast: Broadcast): Uint8Array {
  const endpoints = Buffer.from(JSON.stringify(broadcast.endpoints ?? null));
  const bytes = Buffer.allocUnsafe(5 + endpoints.length + broadcast.data.byteLength);
  bytes[0] = broadcast.isBinary ? ops.binary : ops.text;
  bytes.writeUInt32BE(endpoints.length, 1);
  bytes.set(endpoints, 5);
  bytes.set(broadcast.data, 5 + endpoints.length);
  return bytes;
}

/** Undefined when the bytes are not a broadcast. */
export function decodeBroadcast(payload: Uint8Array): Broadcast | undefined {
  const bytes = asBuffer(payload);
  if (bytes.length < 5 || (bytes[0] !== ops.text && bytes[0] !== ops.binary)) return undefined;
  const end = 5 + bytes.readUInt32BE(1);
  if (end > bytes.length) return undefined;
  const data = bytes.subarray(end);
  const isBinary = bytes[0] === ops.binary;
  const endpoints = readEndpoints(bytes.subarray(5, end));
  return endpoints === null || !(isBinary || isUtf8(data)) ? undefined : { endpoints, data, isBinary };
}

/** Null: not what a gateway writes. */
function readEndpoints(json: Buffer): string[] | undefined | null {
  if (!isUtf8(json)) return null;
  try {
    const value: unknown = JSON.parse(json.toString());
    if (value === null) return undefined;
    return Array.isArray(value) && value.every(isPath) ? value : null;
  } catch {
    return null;
  }
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('/');
}

function withData(op: number, id: string, data: Uint8Array): Buffer {
  const bytes = head(op, id, data.byteLength);
  bytes.set(data, 2 + id.length);
  return bytes;
}

function head(op: number, id: string, restBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(2 + id.length + restBytes);
  bytes[0] = op;
  bytes[1] = id.length;
  bytes.write(id, 2, 'latin1');
  return bytes;
}

function asBuffer(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
