/** What an error of ws means for the connection. */

import { closeCodes } from '../close.ts';
import type { Closure } from './closure.ts';

/** ws closes the connection itself after a protocol error; this says with which code. */
export function closureOf(error: Error & { code?: string }): Closure {
  const reason = error.message;
  switch (error.code) {
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return { closeCode: closeCodes.policyViolation, reason, by: 'gateway', code: 'HYD_PROTOCOL_ERROR' };
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
      return { closeCode: closeCodes.messageTooBig, reason, by: 'gateway', code: 'HYD_MESSAGE_TOO_LARGE' };
    case 'WS_ERR_INVALID_UTF8':
      return { closeCode: closeCodes.invalidPayload, reason, by: 'gateway', code: 'HYD_INVALID_UTF8' };
    default:
      return error.code?.startsWith('WS_ERR_')
        ? { closeCode: closeCodes.protocolError, reason, by: 'gateway', code: 'HYD_PROTOCOL_ERROR' }
        : { closeCode: closeCodes.abnormal, reason, by: 'network' };
  }
}
