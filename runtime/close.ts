/**
 * The only source of close codes. 1000 to 1014 are RFC 6455 section 7.4 and the IANA registry; 4000 to 4999 are for
 * private use, and their meaning is ours to define: 4000-4499 mean "connect again", 4500-4999 mean "do not".
 */

export const closeCodes = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  /** Never on the wire: the client's close frame had no code. */
  noStatus: 1005,
  /** Never on the wire: the connection ended without a close frame. */
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  internalError: 1011,
  tryAgainLater: 1013,
  /** Ours: the authorization of the connection has expired. */
  expired: 4001,
} as const;

/** How the reason begins of a close of ours with a code that services may use, too. */
const ownReason = 'HYD_';

/** Bytes that a close frame leaves for the reason: RFC 6455 section 5.5 allows 125, two of them are the code. */
const maxCloseReasonBytes = 123;

/** True for the codes with which a service may close a connection: 1000 and 3000 to 4999. */
export function isServiceCloseCode(code: number): boolean {
  return code === closeCodes.normal || (Number.isInteger(code) && code >= 3000 && code <= 4999);
}

/** True when the reason fits into a close frame. */
export function isCloseReason(reason: string): boolean {
  return Buffer.byteLength(reason) <= maxCloseReasonBytes;
}

/**
 * True when a client would take the close for one of hydrogen's own: with 4000 to 4999, those alone begin their reason
 * with `HYD_`.
 */
export function isOwnClose(code: number, reason: string): boolean {
  return isPrivate(code) && reason.startsWith(ownReason);
}

/** True for 4000 to 4999, whose meaning is ours to define. */
export function isPrivate(code: number): boolean {
  return code >= 4000 && code <= 4999;
}

/** The longest prefix of `reason` that fits into a close frame and ends at a character. */
export function fitCloseReason(reason: string): string {
  const bytes = Buffer.from(reason);
  if (bytes.length <= maxCloseReasonBytes) return reason;
  let end = maxCloseReasonBytes;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
