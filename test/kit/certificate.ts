/** Self-signed certificates for test servers and their clients: node:crypto has keys but no certificates. */

import { generateKeyPairSync, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate and its private key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

const oids = {
  commonName: [0x55, 0x04, 0x03],
  organization: [0x55, 0x04, 0x0a],
  subjectAltName: [0x55, 0x1d, 0x11],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
};
const tags = {
  integer: 0x02,
  bitString: 0x03,
  oid: 0x06,
  octets: 0x04,
  utf8: 0x0c,
  time: 0x17,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  ipAddress: 0x87,
};

export interface CertificateOptions {
  /** Host names and IPv4 addresses that it is for. @default none */
  readonly hosts?: readonly string[];
  /** Days from now until it expires; negative: it has expired. @default 9 */
  readonly validDays?: number;
}

/** A certificate of `commonName` in `organization`, valid from yesterday, or from the day before it expired. */
export function selfSigned(
  commonName: string,
  organization: string,
  { hosts = [], validDays = 9 }: CertificateOptions = {},
): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(tags.sequence, der(tags.oid, oids.ecdsaWithSha256));
  const name = der(tags.sequence, attribute(oids.organization, organization), attribute(oids.commonName, commonName));
  const dayMs = 86_400_000;
  const content = der(
    tags.sequence,
    der(tags.version, der(tags.integer, [2])),
    der(tags.integer, [1]),
    algorithm,
    name,
    der(tags.sequence, time(Date.now() + (Math.min(validDays, 0) - 1) * dayMs), time(Date.now() + validDays * dayMs)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    ...(hosts.length === 0 ? [] : [alternativeNames(hosts)]),
  );
  const signature = sign('sha256', content, privateKey);
  return {
    certificate: pem(der(tags.sequence, content, algorithm, der(tags.bitString, [0], signature))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function alternativeNames(hosts: readonly string[]): Buffer {
  const names = hosts.map((host) =>
    isIP(host) === 4 ? der(tags.ipAddress, host.split('.').map(Number)) : der(tags.dnsName, Buffer.from(host)),
  );
  const extension = der(
    tags.sequence,
    der(tags.oid, oids.subjectAltName),
    der(tags.octets, der(tags.sequence, ...names)),
  );
  return der(tags.extensions, der(tags.sequence, extension));
}

function attribute(oid: readonly number[], value: string): Buffer {
  return der(tags.set, der(tags.sequence, der(tags.oid, oid), der(tags.utf8, Buffer.from(value))));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/\D/g, '').slice(2, 14);
  return der(tags.time, Buffer.from(`${digits}Z`));
}

function der(tag: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
