/** What an error of ws means for the connection: the code and the reason that the client, the hook and the log get. */

import { closeCodes } from '../close.ts';
import type { ErrorCode } from '../errors.ts';
import { type Closure, closureFor } from './closure.ts';

/** Errors of ws that are not a breach of the protocol. */
const codes: Readonly<Record<string, ErrorCode>> = {
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'HYD_TOO_MANY_FRAGMENTS',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'HYD_MESSAGE_TOO_LARGE',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'HYD_MESSAGE_TOO_LARGE',
  WS_ERR_INVALID_UTF8: 'HYD_INVALID_UTF8',
};

/** ws fails the connection itself; this says with which code. */
export function closureOf(error: Error & { code?: string }): Closure {
  const code = error.code ?? '';
  if (code.startsWith('WS_ERR_')) return closureFor(codes[code] ?? 'HYD_PROTOCOL_ERROR');
  return { closeCode: closeCodes.abnormal, reason: error.message, by: 'network' };
}
