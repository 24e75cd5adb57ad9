/** The bodies of requests: a message for clients, or the reason of a disconnect. */

import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { HydrogenError } from '../../errors.ts';

export interface ClientFrame {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** Set by the server for each request, which takes bodies of any type. */
declare module 'fastify' {
  interface FastifyRequest {
    isBinary: boolean;
  }
}

/**
 * How the body is to be read: `application/octet-stream` is binary; everything else is text, even what is not a media
 * type. @throws {HydrogenError} HYD_ENCODING_UNSUPPORTED
 */
export function readBodyType(headers: IncomingHttpHeaders): { readonly isBinary: boolean } {
  const coding = headers['content-encoding'] ?? '';
  if (!/^(identity)?$/i.test(coding)) throw new HydrogenError('HYD_ENCODING_UNSUPPORTED');
  return { isBinary: /^application\/octet-stream\s*(;|$)/i.test(headers['content-type'] ?? '') };
}

/**
 * @throws {HydrogenError} HYD_INVALID_UTF8 for text that is not valid UTF-8
 */
export function frameOf(request: FastifyRequest): ClientFrame {
  const data = bodyOf(request);
  const { isBinary } = request;
  if (!isBinary && !isUtf8(data)) {
    throw new HydrogenError('HYD_INVALID_UTF8', 'send it as application/octet-stream for a binary frame');
  }
  return { data, isBinary };
}

export function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

/** @throws {HydrogenError} HYD_MESSAGE_TOO_LARGE */
export async function readBody(payload: Readable, maxBodyBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', `management.maxBodyBytes is ${maxBodyBytes}`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
