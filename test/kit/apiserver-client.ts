/** Plain HTTP calls to an API server: a test sees what goes over the wire, with no client library in between. */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
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

export interface ApiClient {
  readonly url: string;
  /** The JSON at `path`. @throws unless it is answered 200 */
  get(path: string): Promise<ApiAnswer['body']>;
  /** Any call; the content type is JSON unless `headers` says otherwise. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  /** Server-side apply of `body` at `path`. */
  apply(path: string, body: unknown, manager?: string): Promise<ApiAnswer>;
}

/** A client that shows `certificate` and trusts `ca`. */
export function createApiClient(
  url: string,
  ca: string,
  { certificate, key }: Certificate,
): ApiClient & { close(): void } {
  const agent = new Agent({ keepAlive: true, ca, cert: certificate, key });

  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiAnswer> {
    const outgoing = request(new URL(path, url), {
      method,
      agent,
      headers: { 'content-type': 'application/json', ...headers },
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
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
