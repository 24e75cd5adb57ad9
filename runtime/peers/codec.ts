/**
 * The format in which gateways and processors of a group talk about connections over the bus: requests to the owner of
 * a connection and broadcasts. One byte says what it is; the data follows unencoded, so that a push is copied, not
 * parsed.
 *
 *     send        op(1: text, 2: binary) length(1) id data
 *     disconnect  op(3) length(1) id close-code(2, big-endian) reason
 *     describe    op(4) length(1) id
 *     reply       op(5: text, 6: binary) length(1) id data
 *     broadcast   op(1: text, 2: binary) length(4, big-endian) endpoints-as-JSON data
 *     answer      status(1) data
 */

import type { OwnerStatus } from '../push-status.ts';

export type OwnerRequest =
  | { readonly kind: 'send'; readonly connectionId: string; readonly data: Uint8Array; readonly isBinary: boolean }
  /**
   * As send, but done when the owner has taken it: a client too slow for it is closed, and nothing waits for its
   * socket.
   */
  | { readonly kind: 'reply'; readonly connectionId: string; readonly data: Uint8Array; readonly isBinary: boolean }
  | { readonly kind: 'disconnect'; readonly connectionId: string; readonly closeCode: number; readonly reason: string }
  | { readonly kind: 'describe'; readonly connectionId: string };

export interface Broadcast {
  /** Undefined: every endpoint. */
  readonly endpoints: readonly string[] | undefined;
  readonly data: Uint8Array;
  readonly isBinary: boolean;
}

const ops = { text: 1, binary: 2, disconnect: 3, describe: 4, replyText: 5, replyBinary: 6 } as const;
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
  }
}

/** Undefined when the bytes have none of the forms above, which a newer or foreign peer may send. */
export function decodeRequest(payload: Uint8Array): OwnerRequest | undefined {
  const bytes = asBuffer(payload);
  const rest = 2 + (bytes[1] ?? 0);
  if (bytes.length < rest) return undefined;
  const connectionId = bytes.toString('latin1', 2, rest);
  switch (bytes[0]) {
    case ops.text:
    case ops.binary:
      return { kind: 'send', connectionId, data: bytes.subarray(rest), isBinary: bytes[0] === ops.binary };
    case ops.replyText:
    case ops.replyBinary:
      return { kind: 'reply', connectionId, data: bytes.subarray(rest), isBinary: bytes[0] === ops.replyBinary };
    case ops.disconnect:
      if (bytes.length < rest + 2) return undefined;
      return {
        kind: 'disconnect',
        connectionId,
        closeCode: bytes.readUInt16BE(rest),
        reason: bytes.toString('utf8', rest + 2),
      };
    case ops.describe:
      return { kind: 'describe', connectionId };
    default:
      return undefined;
  }
}

export function encodeAnswer(status: OwnerStatus, data: string = ''): Uint8Array {
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(data));
  bytes[0] = statuses.indexOf(status);
  bytes.write(data, 1);
  return bytes;
}

export function decodeAnswer(payload: Uint8Array): { readonly status: OwnerStatus; readonly data: string } {
  const bytes = asBuffer(payload);
  return { status: statuses[bytes[0] ?? -1] ?? 'invalid', data: bytes.toString('utf8', 1) };
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
  const endpoints = readEndpoints(bytes.toString('utf8', 5, end));
  if (endpoints === null) return undefined;
  return { endpoints, data: bytes.subarray(end), isBinary: bytes[0] === ops.binary };
}

/** Null: not what a gateway writes. */
function readEndpoints(text: string): string[] | undefined | null {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null) return undefined;
    return Array.isArray(value) && value.every((path) => typeof path === 'string') ? value : null;
  } catch {
    return null;
  }
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
