/**
 * Requests to an API server, over HTTP/1.1 with one keep-alive agent: a stalled HTTP/2 session would stall every watch
 * on it.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import { type Authenticated, Authentication } from './authentication.ts';
import type { Cluster } from './cluster.ts';
import { ApiError, messageOf } from './errors.ts';
import type { ResourceType } from './objects.ts';

/** One request to the API server. */
export interface ApiCall {
  readonly method: string;
  readonly type: ResourceType;
  readonly path: string;
  /** Verb in the metrics. @default - the method */
  readonly verb?: string;
  readonly body?: object;
  /** @default 'application/json' */
  readonly contentType?: string;
  /** @default 'application/json' */
  readonly accept?: string;
  /** Silence after which the call fails. @default - that of the resource, else 15_000 */
  readonly timeoutMs?: number;
}

export interface TransportHooks {
  /** Called with each `Warning` header. */
  readonly onWarning?: (warning: string) => void;
  /** Called after each call; the verb is a method, `LIST` or `WATCH`; status 0 means no answer. */
  readonly onCall?: (verb: string, resource: string, status: number) => void;
}

const requestTimeoutMs = 15_000;

/** Sends requests to one API server. */
export class Transport {
  readonly #server: URL;
  readonly #root: string;
  readonly #hooks: TransportHooks;
  readonly #authentication: Authentication;

  constructor(cluster: Cluster, hooks: TransportHooks) {
    this.#server = cluster.server;
    this.#root = cluster.server.pathname.replace(/\/$/, '');
    this.#hooks = hooks;
    this.#authentication = new Authentication(cluster);
  }

  /** Resolves with the answer once its headers have arrived. @throws {ApiError} unless the call succeeded */
  async send(call: ApiCall, signal?: AbortSignal): Promise<IncomingMessage> {
    const credentials = await this.#authentication.current();
    let response = await this.#request(call, credentials, signal);
    if (response.statusCode === 401) {
      this.#authentication.forget();
      const renewed = await this.#authentication.current();
      // Worth retrying only if the token has been replaced: the same one would be refused again.
      if (renewed.headers.authorization !== credentials.headers.authorization) {
        response.resume();
        response = await this.#request(call, renewed, signal);
      }
    }
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw await errorOf(call, response);
  }

  close(): void {
    this.#authentication.close();
  }

  async #request(
    call: ApiCall,
    { headers, agent, auth }: Authenticated,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const { method, type, path, verb = method, timeoutMs = type.answerMs ?? requestTimeoutMs } = call;
    const { onCall, onWarning } = this.#hooks;
    const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
    const send = this.#server.protocol === 'http:' ? requestHttp : requestHttps;
    const outgoing = send(new URL(this.#root + path, this.#server), {
      method,
      headers: { ...headers, ...contentHeaders(call, payload) },
      ...(agent !== undefined && { agent }),
      ...(auth !== undefined && { auth }),
      ...(signal && { signal }),
    });
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer for ${timeoutMs / 1000} s`)));
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject).end(payload);
    }).catch((cause: unknown) => {
      onCall?.(verb, type.plural, 0);
      throw new ApiError(0, `${method} ${path}: ${reasonOf(cause)}`, { cause });
    });
    onCall?.(verb, type.plural, response.statusCode ?? 0);
    for (const warning of warningsOf(response)) onWarning?.(warning);
    return response;
  }
}

/** The message of OpenSSL begins with numbers and ends with a line of its sources. */
function reasonOf(cause: unknown): string {
  const message = messageOf(cause);
  const [, reason] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  return reason === undefined ? message : `no TLS: ${reason}`;
}

function contentHeaders({ accept, contentType }: ApiCall, payload: string | undefined): Record<string, string> {
  return {
    accept: accept ?? 'application/json',
    ...(payload !== undefined && {
      'content-type': contentType ?? 'application/json',
      'content-length': `${Buffer.byteLength(payload)}`,
    }),
  };
}

function warningsOf({ headers }: IncomingMessage): string[] {
  const values = [headers.warning ?? []].flat();
  return values.flatMap((value) => [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? ''));
}

async function errorOf(call: ApiCall, response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const body = await text(response).catch(() => '');
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  // Proxies, and the server itself for a resource that it does not know, answer with plain text or an empty body.
  const message = statusMessage(body) || `${call.method} ${call.path.replace(/\?.*/, '')}: ${status} ${body}`.trim();
  return new ApiError(status, message, { retryAfterMs });
}

function statusMessage(body: string): string | undefined {
  try {
    return (JSON.parse(body) as { message?: string }).message;
  } catch {
    return undefined;
  }
}
