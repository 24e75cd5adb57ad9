/** What can go wrong between the operator and the API server, and what is done about it. */

/**
 * `gone`: the object or the resource version does not exist any more. `conflict`: somebody else was faster. `refused`:
 * the same request will be refused again. `forbidden`: a right is missing. `transient`: worth trying again.
 */
export type ApiErrorKind = 'gone' | 'conflict' | 'refused' | 'forbidden' | 'transient';

/** Refusals can hold the whole schema of a kind; a person reads no more than this. */
const longestMessage = 1024;

/** An answer of the API server that is no success, or no answer at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly kind: ApiErrorKind;
  /** How long the server asks to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message, options);
    this.name = 'ApiError';
    this.status = status;
    this.kind = classify(status, message);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Server-side apply reports a body that does not fit the schema as an internal error: trying again cannot help. */
const schemaRefusals = /failed to create typed patch object|field not declared in schema|duplicate entries for key/;

/** How a missing right is told. A quota, a policy or a webhook denies with the same status, each in words of its own. */
const missingRights = /cannot \S+ (resource|path) |cannot set (blockOwnerDeletion|an ownerRef)/;

function classify(status: number, message: string): ApiErrorKind {
  if (status === 404 || status === 410) return 'gone';
  if (status === 409) return 'conflict';
  // The object in it goes with the namespace; until then nothing can be created there.
  if (status === 403 && message.includes('because it is being terminated')) return 'transient';
  if (status === 403) return missingRights.test(message) ? 'forbidden' : 'refused';
  if (status === 400 || status === 405 || status === 413 || status === 415 || status === 422) return 'refused';
  if (status === 500 && schemaRefusals.test(message)) return 'refused';
  return 'transient';
}

/** Whether `error` is an answer of this kind. */
export function isApiError(error: unknown, ...kinds: readonly ApiErrorKind[]): error is ApiError {
  return error instanceof ApiError && (kinds.length === 0 || kinds.includes(error.kind));
}

/** The sentence of any failure. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
