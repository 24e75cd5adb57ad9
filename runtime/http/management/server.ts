/**
 * The server of the management API, which services of the group call on any of its gateways: who may call, how bodies
 * are read, how errors are answered. Its routes are in `connections.ts` and `broadcast.ts`. Status codes are promises;
 * see the table in docs/wire.md.
 */

import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type ErrorCode, HydrogenError } from '../../errors.ts';
import { type AccessPolicy, assertLoopbackHost, callerOf, isLoopbackAddress, pageOf, type Scope } from './access.ts';
import { addAddressRoutes } from './addresses.ts';
import type { ConnectionsApi } from './api.ts';
import { addBroadcastRoute } from './broadcast.ts';
import { addConnectionRoutes } from './connections.ts';
import { readBody, readBodyType } from './message.ts';

export interface ManagementDeps {
  readonly api: ConnectionsApi;
  /** Largest body in bytes; called for each request. */
  maxBodyBytes(): number;
  readonly access: AccessPolicy;
  /** Undefined when the gateway can serve. */
  notReadyReason(): string | undefined;
  /** Receives what was done to connections and memberships by whom, and who was refused. */
  onAudit(line: AuditLine): void;
  /** Receives unexpected failures, which are answered with 500. */
  onError(error: unknown): void;
}

/** Who did or tried what, and to whom. */
export interface AuditLine {
  readonly action: string;
  /** The path, which names the connection, user or channel. */
  readonly target: string;
  /** Name of the caller's token; undefined: it needs none, or has no valid one. */
  readonly token: string | undefined;
  readonly remoteAddress: string;
  readonly status: number;
  readonly code: ErrorCode | undefined;
  /** The caller may not do this. */
  readonly isRefused: boolean;
}

/** What a route needs, and what the log says of it. */
declare module 'fastify' {
  interface FastifyContextConfig {
    /** Undefined: any valid token. */
    scope?: Scope;
    /** What is done, for routes that are audited. */
    action?: string;
    /** True for what is refused without a token unless it comes over loopback. */
    isGuarded?: boolean;
  }
  interface FastifyRequest {
    caller: string | undefined;
    refusal: ErrorCode | undefined;
  }
}

/** A request whose body trickles in for longer than this is cut. */
const requestTimeoutMs = 30_000;

export class ManagementServer {
  readonly #deps: ManagementDeps;
  readonly #app: FastifyInstance;
  #isOnLoopback = false;

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
    this.#app.decorateRequest('caller', undefined);
    this.#app.decorateRequest('refusal', undefined);
    this.#app.addHook('onRequest', async (request, reply) => this.#admit(request, reply));
    this.#app.addHook('onResponse', async (request, reply) => this.#audit(request, reply.statusCode));
    this.#app.get('/health', async (_request, reply) => this.#health(reply));
    addConnectionRoutes(this.#app, deps.api);
    addBroadcastRoute(this.#app, deps.api);
    addAddressRoutes(this.#app, deps.api);
    this.#app.options('/*', async (_request, reply) => answerPreflight(reply));
  }

  /** @returns the port it listens on. */
  async listen(port: number, host?: string): Promise<number> {
    this.#isOnLoopback = host === 'localhost' || isLoopbackAddress(host);
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
    this.#app.setErrorHandler(async (cause, request, reply) => {
      const error = asHydrogenError(cause);
      request.refusal = error.code;
      if (error.code === 'HYD_TOKEN_INVALID') reply.header('www-authenticate', 'Bearer');
      if (error.code === 'HYD_INTERNAL') this.#deps.onError(cause);
      return answerError(reply, error);
    });
  }

  #admit(request: FastifyRequest, reply: FastifyReply): void {
    const { url, config } = request.routeOptions;
    if (url === '/health') return;
    const { headers, socket } = request;
    const { access } = this.#deps;
    if (this.#isOnLoopback) assertLoopbackHost(headers.host, access);
    const page = pageOf(headers, access);
    if (page !== undefined) reply.header('access-control-allow-origin', page).header('vary', 'origin');
    if (page !== undefined && request.method === 'OPTIONS') return;
    request.isBinary = readBodyType(headers).isBinary;
    // Fastify refuses what is no media type; whatever it is, its body is taken as it is.
    delete headers['content-type'];
    request.caller = callerOf(headers.authorization, config?.scope, access);
    if (request.caller !== undefined || config?.isGuarded !== true || isLoopbackAddress(socket.remoteAddress)) return;
    throw new HydrogenError('HYD_TOKEN_REQUIRED');
  }

  #audit(request: FastifyRequest, status: number): void {
    const { refusal: code, caller: token } = request;
    const isRefused = code === 'HYD_TOKEN_INVALID' || code === 'HYD_SCOPE_MISSING' || code === 'HYD_TOKEN_REQUIRED';
    const action = request.routeOptions.config?.action ?? (isRefused ? 'call' : undefined);
    if (action === undefined) return;
    const [target = ''] = request.url.split('?');
    const remoteAddress = request.socket.remoteAddress ?? '';
    this.#deps.onAudit({ action, target, token, remoteAddress, status, code, isRefused });
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

/** CORS for the pages that may call; see the Fetch standard. */
function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .code(204)
    .header('access-control-allow-methods', 'GET, POST, PUT, DELETE')
    .header('access-control-allow-headers', 'authorization, content-type, idempotency-key')
    .header('access-control-max-age', '600')
    .send();
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
