/** One request and its result, as callers of the HTTP client see them. */

/** Where a call goes, split once so that the hot path parses no URL. */
export interface Target {
  /** `http://host:port` */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
}

export interface HttpRequest {
  /** Default POST. */
  readonly method?: 'GET';
  /** A URL, or a target prepared by `parseTarget`. */
  readonly url: URL | Target;
  /** Flat `[name, value, ...]`, or a record. An invalid name or value makes the call `unreachable`. */
  readonly headers: readonly string[] | Readonly<Record<string, string>>;
  /** Not modified before the call has its result. */
  readonly body: Uint8Array | string | null;
  /** Covers everything: waiting, connecting, sending, the head and the body of the answer. */
  readonly timeoutMs: number;
  /** Bytes of an answer's body that are read before the connection is cut; also of a coded body, once it is decoded. */
  readonly maxAnswerBytes: number;
  /**
   * False: the body is read (so that the connection can be reused) and thrown away. Once the status line was received
   * the outcome is `answer`, whether the body then ends, breaks off, hangs or is cut for its size: the status is the
   * answer, and nothing else was asked for.
   */
  readonly readBody: boolean;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly kind: 'answer';
  readonly status: number;
  /** First value of a header; the name in lower case. */
  headers(name: string): string | undefined;
  /** Decoded if the server coded it. Empty unless `readBody`. Owned by the caller. */
  readonly body: Uint8Array;
}

/**
 * `head` is set if the status line was received before the call failed: an answer without its body, with `readBody`
 * only.
 */
export type CallResult =
  | HttpAnswer
  | { readonly kind: 'timeout'; readonly head?: HttpAnswer }
  /** Refused, reset, no such host, TLS failure, not HTTP, a body that can't be decoded, or a request that can't be sent. */
  | { readonly kind: 'unreachable'; readonly cause: Error; readonly head?: HttpAnswer }
  | { readonly kind: 'tooLarge'; readonly head: HttpAnswer }
  /** By `signal` or because the client was closed. */
  | { readonly kind: 'aborted'; readonly head?: HttpAnswer };

/**
 * Splits the URL of a configured or computed destination.
 * @returns undefined when it is not an absolute http or https URL, or contains credentials
 */
export function parseTarget(url: string): Target | undefined {
  const parsed = URL.parse(url);
  if (parsed === null) return undefined;
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') return undefined;
  if (parsed.username !== '' || parsed.password !== '') return undefined;
  return splitUrl(parsed);
}

export function splitUrl(url: URL): Target {
  return { origin: url.origin, path: url.pathname + url.search };
}
