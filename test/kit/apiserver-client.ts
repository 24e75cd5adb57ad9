/** Plain HTTP calls to an API server, with no client library between a test and the wire. */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import type { Certificate } from './certificate.ts';

/** An answer; `body` is the JSON in it. */
export interface ApiAnswer {
  readonly status: number;
  /** Texts of the `Warning` headers. */
  readonly warnings: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: tests assert on whatever fields the answer should have.
  readonly body: any;
}

/** One line of a watch. */
export interface ApiEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: ApiAnswer['body'];
}

export interface ApiClient {
  readonly url: string;
  /** The JSON at `path`. @throws unless it is answered 200 */
  get(path: string): Promise<ApiAnswer['body']>;
  /** Any call; the content type is JSON unless `headers` says otherwise. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  /** Server-side apply of `body` at `path`. */
  apply(path: string, body: unknown, manager?: string): Promise<ApiAnswer>;
  /** The events of a watch: `path` is a list with `watch=1` in its query. @throws when it is cut */
  watch(path: string, signal: AbortSignal): AsyncIterable<ApiEvent>;
}

/** A client that shows `certificate` and trusts `ca`. */
export function createApiClient(
  url: string,
  ca: string,
  { certificate, key }: Certificate,
): ApiClient & { close(): void } {
  const agent = new Agent({ keepAlive: true, ca, cert: certificate, key });

  async function send(method: string, path: string, options: RequestOptions, body?: unknown): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    // Without it, Node sends the body of a DELETE without a length or chunks.
    const length = payload === undefined ? {} : { 'content-length': Buffer.byteLength(payload) };
    const headers = { ...options.headers, ...length };
    const outgoing = request(new URL(path, url), { method, agent, ...options, headers });
    outgoing.end(payload);
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    return incoming;
  }

  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiAnswer> {
    const options = { headers: { 'content-type': 'application/json', ...headers } };
    const incoming = await send(method, path, options, body);
    const warnings = [incoming.headers.warning ?? []].flat();
    return { status: incoming.statusCode ?? 0, warnings, body: parseJson(await text(incoming)) };
  }

  return {
    url,
    call,
    get: async (path) => {
      const { status, body } = await call('GET', path);
      if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body).slice(0, 300)}`);
      return body;
    },
    apply: (path, body, manager = 'test') =>
      call('PATCH', `${path}?fieldManager=${manager}&force=true`, body, {
        'content-type': 'application/apply-patch+yaml',
      }),
    watch: async function* (path, signal) {
      const incoming = await send('GET', path, { signal });
      let failure: unknown =
        incoming.statusCode === 200 ? undefined : new Error(`watch ${path}: ${incoming.statusCode}`);
      incoming.on('error', (error) => {
        failure = error;
      });
      for await (const line of createInterface({ input: incoming })) {
        if (failure === undefined) yield JSON.parse(line) as ApiEvent; // one event a line
      }
      if (failure !== undefined) throw failure;
    },
    close: () => agent.destroy(),
  };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}
