/**
 * The management API: what services of the group post to any of its gateways. Status codes are promises; see the table
 * in docs/wire.md.
 */

import { isUtf8 } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type ErrorCode, HydrogenError } from '../../errors.ts';

/** What can be asked of a connection, by any gateway for any connection of the group. */
export interface ManagementBackend {
  isConnectionId(id: string): boolean;
  send(connectionId: string, data: Buffer, isBinary: boolean): Promise<PushResult>;
  disconnect(connectionId: string, code: number, reason: string): Promise<PushResult>;
  /** JSON of the connection when the status is `done`. */
  describe(connectionId: string): Promise<PushResult & { readonly data: string }>;
  /** @throws {HydrogenError} HYD_BUS_UNREACHABLE, HYD_MESSAGE_TOO_LARGE */
  broadcast(data: Buffer, isBinary: boolean, endpoints: readonly string[] | undefined): void;
  /** Of `_disconnect` without `?code=`. */
  readonly defaultCloseCode: number;
  isCloseCode(code: number): boolean;
  isCloseReason(reason: string): boolean;
  health(): { readonly isReady: boolean; readonly reason: string };
}

export interface PushResult {
  readonly status: 'done' | 'accepted' | 'gone' | 'full' | 'tooLarge' | 'invalid' | 'timeout' | 'cutOff' | 'down';
}

export interface ManagementPolicy {
  /** Largest body in bytes; read anew at each request. */
  maxBodyBytes(): number;
  /** The bearer token that requests must carry; undefined: none is asked for. @throws {HydrogenError} HYD_SECRET_MISSING */
  token(): string | undefined;
}

export interface ManagementServer {
  /** @returns the port it listens on. */
  listen(port: number, host?: string): Promise<number>;
  stop(): Promise<void>;
}

/** A request whose body trickles in for longer than this is cut. */
const requestTimeoutMs = 30_000;

const failures: Readonly<Record<Exclude<PushResult['status'], 'done' | 'accepted'>, ErrorCode>> = {
  gone: 'HYD_CONNECTION_GONE',
  full: 'HYD_SLOW_CLIENT',
  tooLarge: 'HYD_MESSAGE_TOO_LARGE',
  invalid: 'HYD_INTERNAL',
  timeout: 'HYD_OWNER_TIMEOUT',
  cutOff: 'HYD_OWNER_UNREACHABLE',
  down: 'HYD_BUS_UNREACHABLE',
};

/** @param onError told of unexpected failures, which are answered with 500. */
export function createManagementServer(
  backend: ManagementBackend,
  policy: ManagementPolicy,
  onError: (error: unknown) => void,
): ManagementServer {
  const app: FastifyInstance = fastify({
    routerOptions: { maxParamLength: 16_384 },
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    // Fastify types this reply by the routes, of which a request that is none has none.
    frameworkErrors: (cause, _request, reply) =>
      void answerError(reply as unknown as FastifyReply, asHydrogenError(cause)),
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request: FastifyRequest, payload: Readable) =>
    readBody(payload, policy.maxBodyBytes()),
  );

  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url === '/health') return;
    const token = policy.token();
    if (token !== undefined && !isBearer(request.headers.authorization, token)) {
      reply.header('www-authenticate', 'Bearer');
      throw new HydrogenError('HYD_TOKEN_INVALID');
    }
  });
  app.setNotFoundHandler(async () => {
    throw new HydrogenError('HYD_NOT_FOUND');
  });
  app.setErrorHandler(async (cause, _request, reply) => {
    const error = asHydrogenError(cause);
    if (error.code === 'HYD_INTERNAL') onError(cause);
    return answerError(reply, error);
  });

  app.get('/health', async (_request, reply) => {
    const { isReady, reason } = backend.health();
    if (!isReady) reply.header('retry-after', '1');
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'not ready', reason });
  });
  app.post('/connections/_broadcast', async (request, reply) => {
    const data = bodyOf(request);
    const isBinary = isOctetStream(request);
    checkText(data, isBinary);
    backend.broadcast(data, isBinary, readEndpoints(request));
    return reply.code(202).send();
  });
  app.post('/connections/:id/_send', async (request, reply) => {
    const id = readId(request);
    const data = bodyOf(request);
    const isBinary = isOctetStream(request);
    checkText(data, isBinary);
    const { status } = await backend.send(id, data, isBinary);
    if (status === 'accepted') return reply.code(202).send();
    ensureDone(status);
    return reply.code(200).send();
  });
  app.post('/connections/:id/_disconnect', async (request, reply) => {
    const id = readId(request);
    const code = readCloseCode(request);
    const body = bodyOf(request);
    const reason = body.toString('utf8');
    if (!isUtf8(body) || !backend.isCloseReason(reason)) throw new HydrogenError('HYD_CLOSE_REASON_INVALID');
    const { status } = await backend.disconnect(id, code, reason);
    ensureDone(status);
    return reply.code(204).send();
  });
  app.get('/connections/:id', async (request, reply) => {
    const { status, data } = await backend.describe(readId(request));
    ensureDone(status);
    return reply.type('application/json').send(data);
  });

  function readId(request: FastifyRequest): string {
    const { id } = request.params as { id: string };
    if (!backend.isConnectionId(id)) throw new HydrogenError('HYD_CONNECTION_ID_INVALID');
    return id;
  }

  function readCloseCode(request: FastifyRequest): number {
    const { code } = request.query as { code?: string | string[] };
    if (code === undefined) return backend.defaultCloseCode;
    if (typeof code !== 'string' || !/^\d{4}$/.test(code) || !backend.isCloseCode(Number(code))) {
      throw new HydrogenError('HYD_CLOSE_CODE_INVALID');
    }
    return Number(code);
  }

  return {
    async listen(port, host) {
      await app.listen({ port, host: host ?? '::', listenTextResolver: () => '' }).catch(async (error) => {
        if (host !== undefined || error.code !== 'EAFNOSUPPORT') throw error;
        await app.listen({ port, host: '0.0.0.0' });
      });
      return (app.server.address() as AddressInfo).port;
    },
    stop: () => app.close(),
  };
}

function answerError(reply: FastifyReply, error: HydrogenError): FastifyReply {
  const status = error.entry.http ?? 500;
  if (status === 503 || status === 429) reply.header('retry-after', '1');
  return reply.code(status).send({ code: error.code, message: error.message });
}

function ensureDone(status: PushResult['status']): void {
  if (status !== 'done' && status !== 'accepted') throw new HydrogenError(failures[status]);
}

function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

/** The limit is the policy's of this moment, which a server-wide `bodyLimit` could not be. */
async function readBody(payload: Readable, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of payload as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function tooLarge(limitBytes: number): HydrogenError {
  return new HydrogenError('HYD_MESSAGE_TOO_LARGE', `management.maxBodyBytes is ${limitBytes}`);
}

/** `application/octet-stream` is a binary frame; everything else is text and must be UTF-8. */
function isOctetStream(request: FastifyRequest): boolean {
  return /^application\/octet-stream\s*(;|$)/i.test(request.headers['content-type'] ?? '');
}

function checkText(data: Buffer, isBinary: boolean): void {
  if (!isBinary && !isUtf8(data)) {
    throw new HydrogenError('HYD_INVALID_UTF8', 'send it as application/octet-stream to have a binary frame');
  }
}

/** `endpoints[]=/a&endpoints[]=/b`; `endpoints=/a` is taken too. Undefined: all. */
function readEndpoints(request: FastifyRequest): string[] | undefined {
  const query = request.query as Record<string, string | string[] | undefined>;
  const unknown = Object.keys(query).find((name) => name !== 'endpoints[]' && name !== 'endpoints');
  if (unknown !== undefined) throw new HydrogenError('HYD_BAD_REQUEST', `unknown query parameter ${unknown}`);
  const endpoints = [query['endpoints[]'] ?? [], query.endpoints ?? []].flat();
  if (endpoints.some((path) => !path.startsWith('/'))) throw new HydrogenError('HYD_ENDPOINTS_INVALID');
  return endpoints.length === 0 ? undefined : endpoints;
}

/** Compares digests, so that neither content nor length of the token shows in the time it takes. */
function isBearer(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const match = /^Bearer +(\S+)$/i.exec(header ?? '');
  return timingSafeEqual(digest(match?.[1] ?? ''), digest(token)) && match !== null;
}

/** Fastify's own refusals (a bad URL, a body it will not read) in our table's words. */
function asHydrogenError(cause: unknown): HydrogenError {
  if (cause instanceof HydrogenError && cause.entry.http !== undefined) return cause;
  const { statusCode, message, code } = cause as { statusCode?: number; message?: string; code?: string };
  if (code === 'ECONNRESET') return new HydrogenError('HYD_BAD_REQUEST', 'the caller left', { cause });
  if (statusCode === 413) return new HydrogenError('HYD_MESSAGE_TOO_LARGE', undefined, { cause });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new HydrogenError('HYD_BAD_REQUEST', message, { cause });
  }
  return new HydrogenError('HYD_INTERNAL', undefined, { cause });
}
