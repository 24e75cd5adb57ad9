/**
 * Where a rules engine may send messages: its answer is data, and without this list it could name any host that the pod
 * can reach. The decision is made on the URL as the WHATWG parser reads it, and that URL is the one that is called: no
 * second parser could see another host. Without a port in a pattern every port is allowed.
 */

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
      if (pattern.isSuffix ? host.endsWith(pattern.host) && host !== pattern.host : host === pattern.host) {
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

function refuse(reason: string): HostVerdict {
  return { isAllowed: false, reason };
}
