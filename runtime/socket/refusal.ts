/** The HTTP answer of a refused upgrade: the status and body of the error table, then the end of the connection. */

import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HydrogenError } from '../errors.ts';

/** Seconds after which a client may try again when the refusal is temporary. */
const retryAfterSeconds = 2;

/** Writes the answer and closes the socket. Never throws: a socket that is gone already needs no answer. */
export function refuse(socket: Duplex, error: HydrogenError): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.entry.http ?? 500;
  const body = errorBody(error);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  if (status === 503 || status === 429) lines.push(`Retry-After: ${retryAfterSeconds}`);
  if (status === 401) lines.push('WWW-Authenticate: Bearer');
  if (status === 426) lines.push('Upgrade: websocket');
  if (error.code === 'HYD_BAD_UPGRADE') lines.push('Sec-WebSocket-Version: 13');
  socket.once('finish', () => socket.destroy());
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/**
 * `{"code": "HYD_...", "message": "..."}` with the sentence of the error table. Whoever reads it is a stranger: details
 * can name hosts, addresses and files, and are for the log.
 */
export function errorBody(error: HydrogenError): string {
  return JSON.stringify({ code: error.code, message: error.entry.message });
}
