/** Errors of calls to the API server, classified by what can be done about them. */

/**
 * `gone`: the object or the resource version no longer exists. `conflict`: somebody else was faster. `refused`: the
 * same request will be refused again. `forbidden`: a permission is missing. `transient`: worth retrying.
 */
export type ApiErrorKind = 'gone' | 'conflict' | 'refused' | 'forbidden' | 'transient';

/** Maximum length of a message: refusals can contain the whole schema of a kind, which nobody reads. */
const longestMessage = 1024;

/** An unsuccessful answer from the API server, or no answer at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly kind: ApiErrorKind;
  /** How long the server asks us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message, options);
    this.name = 'ApiError';
    this.status = status;
    this.kind = classify(status, message);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Server-side apply reports a body that does not match the schema as an internal error, but a retry cannot help. */
const schemaRefusals = /failed to create typed patch object|field not declared in schema|duplicate entries for key/;

/** Messages about a missing permission. Quotas, policies and webhooks deny with the same status but other messages. */
const missingRights = /cannot \S+ (resource|path) |cannot set (blockOwnerDeletion|an ownerRef)/;

function classify(status: number, message: string): ApiErrorKind {
  if (status === 404 || status === 410) return 'gone';
  if (status === 409) return 'conflict';
  // Our object will be removed with the namespace; until then nothing can be created in it.
  if (status === 403 && message.includes('because it is being terminated')) return 'transient';
  if (status === 403) return missingRights.test(message) ? 'forbidden' : 'refused';
  if (status === 400 || status === 405 || status === 413 || status === 415 || status === 422) return 'refused';
  if (status === 500 && schemaRefusals.test(message)) return 'refused';
  return 'transient';
}

/** True if `error` is an API error of one of these kinds. */
export function isApiError(error: unknown, ...kinds: readonly ApiErrorKind[]): error is ApiError {
  return error instanceof ApiError && (kinds.length === 0 || kinds.includes(error.kind));
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
