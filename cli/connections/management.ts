/** Requests to the management API of a gateway, over TCP or over a stream that somebody else opens. */

import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';

import { type ErrorCode, errors, HydrogenError } from '../../runtime/errors.ts';

/** A management API, and how it is reached. */
export interface ManagementPlace {
  /** For messages. */
  readonly name: string;
  readonly url: URL;
  /** Opens the connection of a request. @default - TCP, with TLS for https */
  readonly open?: () => Promise<Duplex>;
  readonly token?: string | undefined;
  /** PEM of the authorities to trust. @default - those of Node */
  readonly ca?: string | undefined;
}

export interface ManagementRequest {
  readonly method: 'GET' | 'POST';
  /** Begins with a slash, and is encoded. */
  readonly path: string;
  /** Those that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: string;
}

/** Longer than a gateway waits for the others of its group. */
const answerTimeoutMs = 20_000;

/**
 * The answer, an object; empty when there is none.
 * @throws {HydrogenError} HYD_MANAGEMENT_UNREACHABLE, and what the API refuses with
 */
export async function askManagement(
  place: ManagementPlace,
  request: ManagementRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const unreachable = (why: string, cause?: unknown): HydrogenError =>
    new HydrogenError('HYD_MANAGEMENT_UNREACHABLE', `${place.name}: ${why}`, { cause });
  let status: number;
  let body: string;
  try {
    const response = await send(place, request);
    status = response.statusCode ?? 0;
    body = await text(response);
  } catch (cause) {
    const { name, message, code } = cause as NodeJS.ErrnoException;
    const isLate = name === 'AbortError' || name === 'TimeoutError';
    throw unreachable(isLate ? `no answer within ${answerTimeoutMs / 1000} s` : message || `${code}`, cause);
  }
  const answer = body === '' ? {} : objectIn(body);
  if (status >= 200 && status < 300 && answer !== undefined) return answer;
  const { code, message } = answer ?? {};
  if (typeof code !== 'string' || !(code in errors)) throw unreachable(`answers ${status}, and not as a gateway does`);
  throw refusal(code as ErrorCode, `${message}`);
}

async function send(place: ManagementPlace, request: ManagementRequest): Promise<IncomingMessage> {
  const { url, token, ca } = place;
  const stream = await place.open?.();
  const sending = url.protocol === 'https:' ? requestHttps : requestHttp;
  const headers = {
    connection: 'close',
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(request.body ?? ''),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = sending(urlOf(url, request), {
        method: request.method,
        headers,
        signal: AbortSignal.timeout(answerTimeoutMs),
        ...(ca !== undefined && { ca }),
        ...(stream !== undefined && { createConnection: () => stream }),
      });
      // Answers end with their length, so the stream is not needed after them.
      outgoing
        .once('response', resolve)
        .once('error', reject)
        .once('close', () => stream?.destroy());
      outgoing.end(request.body ?? '');
    });
  } catch (error) {
    stream?.destroy();
    throw error;
  }
}

function urlOf(base: URL, { path, query = {} }: ManagementRequest): URL {
  const url = new URL(base);
  url.pathname = url.pathname.replace(/\/$/, '') + path;
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, `${value}`);
  return url;
}

/** The error of the table, with what the API said beyond its sentence. */
function refusal(code: ErrorCode, message: string): HydrogenError {
  const detail = message.startsWith(errors[code].message) ? message.slice(errors[code].message.length + 2) : message;
  const advice = code === 'HYD_TOKEN_INVALID' || code === 'HYD_TOKEN_REQUIRED' ? 'give one with --token-file' : '';
  return new HydrogenError(code, [detail, advice].filter((part) => part !== '').join('; '));
}

/** Undefined when it is no JSON object. */
function objectIn(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Not JSON, which is the answer.
    return undefined;
  }
}
