/** Fetches the public keys of a token issuer: one small GET, without redirects, within a time limit. */

import { HydrogenError } from '../../errors.ts';
import type { HttpClient } from '../client/client.ts';
import { describeCause } from './service.ts';

/** Bytes of a key set; a set of ten large keys with certificates has some twenty KiB. */
const maxKeySetBytes = 262_144;
const timeoutMs = 5_000;
const headers = {
  accept: 'application/jwk-set+json, application/json',
  'accept-encoding': 'identity',
  'user-agent': 'hydrogen',
};

/** The text of the answer. @throws {HydrogenError} as a rejection: HYD_AUTHORIZER_UNAVAILABLE */
export async function fetchKeySet(http: HttpClient, uri: string): Promise<string> {
  const result = await http.get({
    url: new URL(uri),
    headers,
    timeoutMs,
    maxAnswerBytes: maxKeySetBytes,
    readBody: true,
  });
  switch (result.kind) {
    case 'answer':
      if (result.status === 200) return Buffer.from(result.body).toString('utf8');
      throw unavailable(`the issuer answered ${result.status} to the request for its keys`);
    case 'timeout':
      throw unavailable('the issuer did not answer in time to the request for its keys');
    case 'unreachable':
      throw unavailable(`the issuer could not be reached for its keys: ${describeCause(result.cause)}`);
    case 'tooLarge':
      throw unavailable(`the key set of the issuer is larger than ${maxKeySetBytes} bytes`);
    case 'aborted':
      throw unavailable('the request for the keys of the issuer was given up');
  }
}

function unavailable(detail: string): HydrogenError {
  return new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', detail);
}
