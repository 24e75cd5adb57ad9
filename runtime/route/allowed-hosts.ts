/**
 * Where a rules engine may send messages: its answer is data, and without this list it could name any host that the pod
 * can reach. The decision is made on the URL as the WHATWG parser reads it, and that URL is the one that is called: no
 * second parser could see another host. Without a port in a pattern every port is allowed.
 *
 * A suffix such as `*.svc.cluster.local` is meant for the user's services. It does not cover the API server, or the
 * management API of a gateway, which sends to clients what it gets: those have to be named in full.
 */

import { ports } from '../../crds/contract.ts';
import { type HostPattern, readHostPattern, withoutTrailingDot } from '../../crds/host-pattern.ts';
import { HydrogenError } from '../errors.ts';

/** The URL, normalised, when it may be called; otherwise why not. Reasons contain only the host. */
export type HostVerdict =
  | { readonly isAllowed: true; readonly url: URL }
  | { readonly isAllowed: false; readonly reason: string };

export type AllowedHosts = (url: string) => HostVerdict;

const defaultPorts: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** @throws {HydrogenError} HYD_CONFIG_INVALID naming the invalid pattern */
export function compileAllowedHosts(patterns: readonly string[]): AllowedHosts {
  const compiled = patterns.map(parsePattern);
  return (text) => {
    const url = URL.parse(text);
    if (url === null) return refuse('not an absolute URL');
    const defaultPort = defaultPorts[url.protocol];
    if (defaultPort === undefined) return refuse(`scheme ${url.protocol} is neither http: nor https:`);
    if (url.username !== '' || url.password !== '') return refuse('the URL contains credentials');
    const host = withoutTrailingDot(url.hostname);
    const port = url.port === '' ? defaultPort : url.port;
    for (const pattern of compiled) {
      if (pattern.port !== undefined && pattern.port !== port) continue;
      if (pattern.isSuffix ? isBelow(host, port, pattern.host) : host === pattern.host) {
        return { isAllowed: true, url };
      }
    }
    return refuse(`host ${url.host}`);
  };
}

function parsePattern(pattern: string): HostPattern {
  const parsed = readHostPattern(pattern);
  if (parsed !== undefined) return parsed;
  throw new HydrogenError(
    'HYD_CONFIG_INVALID',
    `allowedHosts: ${JSON.stringify(pattern)} is not a host, *.suffix or host:port`,
  );
}

function isBelow(host: string, port: string, suffix: string): boolean {
  return host.endsWith(suffix) && host !== suffix && !isControl(host, port);
}

/** True for the API server and for the management API of a gateway, by the names of their services. */
function isControl(host: string, port: string): boolean {
  if (/^kubernetes\.default(\.svc(\.|$)|$)/.test(host)) return true;
  return port === `${ports.management}` && /^[^.]+-management\.[^.]+(\.svc(\.|$)|$)/.test(host);
}

function refuse(reason: string): HostVerdict {
  return { isAllowed: false, reason };
}
