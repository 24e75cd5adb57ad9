/**
 * The server of the management API, which services of the group call on any of its gateways: who may call, how bodies
 * are read, how errors are answered. Its routes are in `connections.ts` and `broadcast.ts`. Status codes are promises;
 * see the table in docs/wire.md.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { HydrogenError } from '../../errors.ts';
import { addAddressRoutes } from './addresses.ts';
import type { ConnectionsApi } from './api.ts';
import { addBroadcastRoute } from './broadcast.ts';
import { addConnectionRoutes } from './connections.ts';
import { readBody, readBodyType } from './message.ts';

export interface ManagementDeps {
  readonly api: ConnectionsApi;
  /** Largest body in bytes; called for each request. */
  maxBodyBytes(): number;
  /**
   * The bearer token that requests must carry; undefined when none is required.
   * @throws {HydrogenError} HYD_SECRET_MISSING
   */
  token(): string | undefined;
  /** Undefined when the gateway can serve. */
  notReadyReason(): string | undefined;
  /** Receives unexpected failures, which are answered with 500. */
  onError(error: unknown): void;
}

/** A request whose body trickles in for longer than this is cut. */
const requestTimeoutMs = 30_000;

export class ManagementServer {
  readonly #deps: ManagementDeps;
  readonly #app: FastifyInstance;

  constructor(deps: ManagementDeps) {
    this.#deps = deps;
    this.#app = fastify({
      routerOptions: { maxParamLength: 16_384 },
      forceCloseConnections: true,
      requestTimeout: requestTimeoutMs,
      // Fastify types this reply by its route, and a malformed request has none.
      frameworkErrors: (cause, _request, reply) =>
        void answerError(reply as unknown as FastifyReply, asHydrogenError(cause)),
    });
    this.#readBodies();
    this.#answerErrors();
    this.#app.decorateRequest('isBinary', false);
    this.#app.addHook('onRequest', async (request, reply) => this.#authenticate(request, reply));
    this.#app.get('/health', async (_request, reply) => this.#health(reply));
    addConnectionRoutes(this.#app, deps.api);
    addBroadcastRoute(this.#app, deps.api);
    addAddressRoutes(this.#app, deps.api, () => deps.token() !== undefined);
  }

  /** @returns the port it listens on. */
  async listen(port: number, host?: string): Promise<number> {
    await this.#app.listen({ port, host: host ?? '::', listenTextResolver: () => '' }).catch(async (error) => {
      if (host !== undefined || error.code !== 'EAFNOSUPPORT') throw error;
      await this.#app.listen({ port, host: '0.0.0.0' });
    });
    return (this.#app.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }

  /** Applies the limit in force now, which a server-wide `bodyLimit` could not do. */
  #readBodies(): void {
    this.#app.removeAllContentTypeParsers();
    this.#app.addContentTypeParser('*', (_request: FastifyRequest, payload: Readable) =>
      readBody(payload, this.#deps.maxBodyBytes()),
    );
  }

  #answerErrors(): void {
    this.#app.setNotFoundHandler(async () => {
      throw new HydrogenError('HYD_NOT_FOUND');
    });
    this.#app.setErrorHandler(async (cause, _request, reply) => {
      const error = asHydrogenError(cause);
      if (error.code === 'HYD_INTERNAL') this.#deps.onError(cause);
      return answerError(reply, error);
    });
  }

  #authenticate(request: FastifyRequest, reply: FastifyReply): void {
    if (request.routeOptions.url === '/health') return;
    request.isBinary = readBodyType(request.headers).isBinary;
    // Fastify refuses what is no media type; whatever it is, its body is taken as it is.
    delete request.headers['content-type'];
    const token = this.#deps.token();
    if (token === undefined || isBearer(request.headers.authorization, token)) return;
    reply.header('www-authenticate', 'Bearer');
    throw new HydrogenError('HYD_TOKEN_INVALID');
  }

  #health(reply: FastifyReply): FastifyReply {
    const reason = this.#deps.notReadyReason();
    if (reason === undefined) return reply.code(200).send({ status: 'ok', reason: 'serving' });
    return reply.code(503).header('retry-after', '1').send({ status: 'not ready', reason });
  }
}

function answerError(reply: FastifyReply, error: HydrogenError): FastifyReply {
  const status = error.entry.http ?? 500;
  if (status === 503 || status === 429) reply.header('retry-after', '1');
  return reply.code(status).send({ code: error.code, message: error.message });
}

/** Compares digests, so that the time it takes reveals neither the content nor the length of the token. */
function isBearer(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const match = /^Bearer +(\S+)$/i.exec(header ?? '');
  return timingSafeEqual(digest(match?.[1] ?? ''), digest(token)) && match !== null;
}

/** Fastify's own refusals (a bad URL, a body it will not read) as errors of our table. */
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
