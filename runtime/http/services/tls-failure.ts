/** Why TLS with a service failed, in words: OpenSSL's own sentences have numbers and lines of its sources in them. */

const unknownAuthority = 'certificate signed by unknown authority';

const words: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not valid yet',
  CERT_REVOKED: 'certificate was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another name',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'other side does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'other side does not speak TLS',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'other side requires a client certificate',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'other side speaks no version of TLS that is accepted here',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'other side does not know the authority of the client certificate',
};

/** @returns undefined when it is no failure of TLS */
export function describeTlsFailure(code: string): string | undefined {
  const known = words[code];
  if (known !== undefined) return `${known} (${code})`;
  return code.startsWith('ERR_SSL_') ? `TLS failed: ${code.slice(8).toLowerCase().replaceAll('_', ' ')}` : undefined;
}
