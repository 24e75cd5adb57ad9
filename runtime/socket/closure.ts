/** How connections end: the facts of an ending, and those of each ending that the error table knows. */

import { closeCodes, isPrivate } from '../close.ts';
import { type ErrorCode, type ErrorEntry, errors } from '../errors.ts';

/** How a connection ended. */
export interface Closure {
  readonly closeCode: number;
  readonly reason: string;
  /** Who began it. */
  readonly by: 'client' | 'service' | 'gateway' | 'network';
  /** Set if the gateway closed it for a reason of the error table. */
  readonly code?: ErrorCode;
}

/** The closure that the error table prescribes; 1011 for a code without a close code. */
export function closureFor(code: ErrorCode): Closure {
  const { close: closeCode = closeCodes.internalError, message }: ErrorEntry = errors[code];
  // Services close with 4000 to 4999, too: the code at the beginning of the reason sets ours apart.
  return { closeCode, reason: isPrivate(closeCode) ? `${code}: ${message}` : message, by: 'gateway', code };
}

/**
 * True when client messages are ignored once a connection ends so: for any reason of the table except a drain and the
 * end of its time, with which the client has done nothing wrong.
 */
export function discards({ closeCode, code }: Closure): boolean {
  return code !== undefined && closeCode !== closeCodes.goingAway && !isPrivate(closeCode);
}
