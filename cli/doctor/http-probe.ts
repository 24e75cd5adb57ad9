/**
 * Reaches a service as pods do, with the connector of the HTTP client: the name, TCP, TLS, then an OPTIONS request, to which
 * a service must not react (RFC 9110, section 9.2.1: it is safe). Any answer means that the service was reached. None of
 * the configured headers is sent.
 */

import { lookup } from 'node:dns/promises';
import { request } from 'node:http';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type PeerCertificate, TLSSocket } from 'node:tls';

import { createConnector } from '../../runtime/http/client/dial.ts';
import { describeCause } from '../../runtime/http/services/service.ts';

/** How far a probe came. */
export type ProbeResult =
  | { readonly kind: 'answered'; readonly status: number; readonly certificate?: CertificateFacts }
  /** The name does not resolve. */
  | { readonly kind: 'unresolved'; readonly reason: string }
  | { readonly kind: 'unconnected'; readonly reason: string; readonly address?: string }
  /** TLS failed: an untrusted, expired or foreign certificate, or no TLS at all. */
  | {
      readonly kind: 'insecure';
      readonly reason: string;
      readonly code: string;
      readonly certificate?: CertificateFacts;
    }
  /** Connected, and no HTTP answer came. */
  | { readonly kind: 'silent'; readonly reason: string };

/** What a certificate says. */
export interface CertificateFacts {
  /** The names that it is for, such as `DNS:example.com, IP Address:10.0.0.1`; the common name if it has no others. */
  readonly names: string;
  readonly issuer: string;
  readonly validFrom: Date;
  readonly validTo: Date;
}

/** @param timeoutMs for the connection, and again for the answer */
export async function probe(url: string, timeoutMs: number): Promise<ProbeResult> {
  const target = new URL(url);
  const host = target.hostname.replace(/^\[|\]$/g, '');
  try {
    await lookup(host);
  } catch (cause) {
    return { kind: 'unresolved', reason: describeCause(cause as Error) };
  }
  const opened = await open(target, host, timeoutMs);
  if (opened instanceof Error) return explainFailure(target, host, opened, timeoutMs);
  const certificate = opened instanceof TLSSocket ? factsOf(opened.getPeerCertificate()) : undefined;
  const status = await ask(target, opened, timeoutMs);
  opened.destroy();
  if (status instanceof Error) return { kind: 'silent', reason: describeCause(status) };
  return { kind: 'answered', status, ...(certificate && { certificate }) };
}

function open({ protocol, port, host: hostAndPort }: URL, host: string, timeoutMs: number): Promise<Socket | Error> {
  const options = { hostname: host, host: hostAndPort, protocol, port, servername: serverNameOf(host) };
  return new Promise((resolve) => {
    createConnector(timeoutMs)(options, (...[error, socket]) => resolve(error ?? socket));
  });
}

/** No address is sent as a name (RFC 6066, section 3). */
function serverNameOf(host: string): string {
  return isIP(host) === 0 ? host : '';
}

function ask(target: URL, socket: Socket, timeoutMs: number): Promise<number | Error> {
  return new Promise((resolve) => {
    const path = target.pathname + target.search;
    const headers = { host: target.host, 'user-agent': 'hydrogen-doctor', connection: 'close' };
    const sent = request({ method: 'OPTIONS', path, headers, createConnection: () => socket });
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    sent.once('response', ({ statusCode = 0 }) => resolve(statusCode));
    sent.once('error', resolve);
    sent.once('close', () => clearTimeout(timer));
    sent.end();
  });
}

/** TCP and TLS failures have the same form: a second connection, which trusts any certificate, distinguishes them. */
async function explainFailure(target: URL, host: string, error: Error, timeoutMs: number): Promise<ProbeResult> {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const reason = describeCause(error);
  const isPlain = target.protocol === 'http:' || /^(ECONN|EHOST|ENET|ETIMEDOUT|UND_ERR)/.test(code);
  if (isPlain && code !== 'ECONNRESET') return { kind: 'unconnected', reason };
  const certificate = await readCertificate(host, Number(target.port) || 443, timeoutMs);
  return { kind: 'insecure', reason, code, ...(certificate && { certificate }) };
}

/** The certificate that a server shows, whoever signed it; undefined: it shows none. */
async function readCertificate(host: string, port: number, timeoutMs: number): Promise<CertificateFacts | undefined> {
  const tcp = connectTcp(port, host);
  const socket = connectTls({ socket: tcp, servername: serverNameOf(host), rejectUnauthorized: false });
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), timeoutMs);
      const end = (facts: CertificateFacts | undefined): void => {
        clearTimeout(timer);
        resolve(facts);
      };
      tcp.once('error', () => end(undefined));
      socket.once('error', () => end(undefined));
      socket.once('secureConnect', () => end(factsOf(socket.getPeerCertificate())));
    });
  } finally {
    socket.destroy();
    tcp.destroy();
  }
}

function factsOf(certificate: PeerCertificate): CertificateFacts | undefined {
  if (certificate.valid_to === undefined) return undefined;
  return {
    names: certificate.subjectaltname ?? `CN:${[certificate.subject?.CN ?? ''].flat().join(', ')}`,
    issuer: [certificate.issuer?.CN ?? certificate.issuer?.O ?? 'an unnamed authority'].flat().join(', '),
    validFrom: new Date(certificate.valid_from),
    validTo: new Date(certificate.valid_to),
  };
}
