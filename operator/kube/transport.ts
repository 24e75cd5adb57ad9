/**
 * Requests to an API server, over HTTP/1.1 and one keep-alive agent: a stalled HTTP/2 session would take every watch on it
 * along. Credentials are read again every half a minute, and at once when the server refuses them.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent, request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Cluster, Identity } from './cluster.ts';
import { ApiError, messageOf } from './errors.ts';
import type { ResourceType } from './objects.ts';

/** One request. */
export interface Call {
  readonly method: string;
  readonly type: ResourceType;
  readonly path: string;
  /** What it counts as. @default - the method */
  readonly verb?: string;
  readonly body?: object;
  /** @default 'application/json' */
  readonly contentType?: string;
  /** @default 'application/json' */
  readonly accept?: string;
  /** Silence after which it has failed. @default - that of the resource, else 15_000 */
  readonly timeoutMs?: number;
}

export interface TransportHooks {
  /** Called with each `Warning` header. */
  readonly onWarning?: (warning: string) => void;
  /** Called after each call: a method, `LIST` or `WATCH`; status 0 is no answer. */
  readonly onCall?: (verb: string, resource: string, status: number) => void;
}

export interface Transport {
  /** The answer, once its head is there. @throws {ApiError} for any but a success */
  send(call: Call, signal?: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

const requestTimeoutMs = 15_000;
const maxFreeSockets = 16;
const identityMs = 30_000;

interface Authenticated extends Omit<Identity, 'tls' | 'agent'> {
  readonly agent: Agent | undefined;
}

export function createTransport(cluster: Cluster, { onCall, onWarning }: TransportHooks): Transport {
  const base = cluster.server;
  const root = base.pathname.replace(/\/$/, '');
  const request = base.protocol === 'http:' ? requestHttp : requestHttps;
  const authentication = createAuthentication(cluster);

  async function answerTo(call: Call, identity: Authenticated, signal?: AbortSignal): Promise<IncomingMessage> {
    const { method, path, timeoutMs = call.type.answerMs ?? requestTimeoutMs } = call;
    const payload = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = { ...identity.headers, accept: call.accept ?? 'application/json' };
    if (payload !== undefined) {
      headers['content-type'] = call.contentType ?? 'application/json';
      headers['content-length'] = `${Buffer.byteLength(payload)}`;
    }
    const outgoing = request(new URL(root + path, base), {
      method,
      headers,
      ...(identity.agent === undefined ? {} : { agent: identity.agent }),
      ...(identity.auth === undefined ? {} : { auth: identity.auth }),
      ...(signal && { signal }),
    });
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer for ${timeoutMs / 1000} s`)));
    const verb = call.verb ?? method;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject).end(payload);
    }).catch((cause: unknown) => {
      onCall?.(verb, call.type.plural, 0);
      throw new ApiError(0, `${method} ${path}: ${messageOf(cause)}`, { cause });
    });
    onCall?.(verb, call.type.plural, response.statusCode ?? 0);
    for (const warning of warningsOf(response)) onWarning?.(warning);
    return response;
  }

  return {
    send: async (call, signal) => {
      const identity = await authentication.current();
      let response = await answerTo(call, identity, signal);
      if (response.statusCode === 401) {
        authentication.forget();
        const renewed = await authentication.current();
        // A token that has been replaced meanwhile; the same one would be refused again.
        if (renewed.headers.authorization !== identity.headers.authorization) {
          response.resume();
          response = await answerTo(call, renewed, signal);
        }
      }
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return response;
      throw await errorOf(call, response);
    },
    close: () => authentication.close(),
  };
}

/** The identity of now, with one agent for as long as the certificates stay the same. */
function createAuthentication(cluster: Cluster) {
  const isPlain = cluster.server.protocol === 'http:';
  let agent: Agent | undefined;
  let agentKey = '';
  let found: Promise<Authenticated> | undefined;
  let foundAtMs = 0;

  async function find(): Promise<Authenticated> {
    const { tls, agent: proxy, ...identity } = await cluster.identify();
    if (proxy !== undefined || isPlain) return { ...identity, agent: proxy };
    const tlsKey = JSON.stringify(tls);
    if (agent === undefined || tlsKey !== agentKey) {
      agentKey = tlsKey;
      const defined = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
      agent = new Agent({ ...defined, keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets });
    }
    return { ...identity, agent };
  }

  return {
    current: (): Promise<Authenticated> => {
      if (found === undefined || Date.now() - foundAtMs > identityMs) {
        foundAtMs = Date.now();
        found = find().catch((cause: unknown) => {
          found = undefined;
          throw new ApiError(0, `no credentials for the API server: ${messageOf(cause)}`, { cause });
        });
      }
      return found;
    },
    forget: (): void => {
      found = undefined;
    },
    close: (): void => agent?.destroy(),
  };
}

function warningsOf({ headers }: IncomingMessage): string[] {
  const values = [headers.warning ?? []].flat();
  return values.flatMap((value) => [...value.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? ''));
}

async function errorOf(call: Call, response: IncomingMessage): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const body = await text(response).catch(() => '');
  const seconds = Number(response.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  // Proxies in between, and the server for a resource that it does not know, answer with text, or with nothing.
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
