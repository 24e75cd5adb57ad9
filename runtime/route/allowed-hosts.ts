/**
 * Where a rules engine may send messages: its answer is data, and without this list it could name any host that the pod
 * can reach. The decision is made on the URL as the WHATWG parser reads it, and that URL is the one that is called: no
 * second parser could see another host.
 *
 * A pattern is `host`, `*.suffix` (any depth below the suffix, not the suffix itself), an IPv4 address or a bracketed
 * IPv6 address, each with an optional `:port`. Without a port every port is allowed.
 */

import { HydrogenError } from '../errors.ts';

/** The URL, normalised, when it may be called; otherwise why not. Reasons contain only the host. */
export type HostVerdict =
  | { readonly isAllowed: true; readonly url: URL }
  | { readonly isAllowed: false; readonly reason: string };

export type AllowedHosts = (url: string) => HostVerdict;

interface HostPattern {
  readonly isSuffix: boolean;
  /** Normalised; with its leading dot for a suffix. */
  readonly host: string;
  readonly port: string | undefined;
}

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
  const [, star, name = '', port] =
    /^(\*\.)?(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]*\\]+)(?::(\d{1,5}))?$/.exec(pattern) ?? [];
  // The URL parser brings upper case, international names and IP addresses into the form that answers will have.
  const parsed = URL.parse(`http://${name}/`);
  const isName = parsed !== null && !/^\[|^[0-9.]+$/.test(parsed.hostname);
  if (name === '' || parsed === null || (star !== undefined && !isName) || Number(port) > 65_535) {
    throw new HydrogenError(
      'HYD_CONFIG_INVALID',
      `allowedHosts: ${JSON.stringify(pattern)} is not a host, *.suffix or host:port`,
    );
  }
  const host = withoutTrailingDot(parsed.hostname);
  return {
    isSuffix: star !== undefined,
    host: star === undefined ? host : `.${host}`,
    port: port === undefined ? undefined : String(Number(port)),
  };
}

/** `example.com.` is the same host as `example.com`. */
function withoutTrailingDot(host: string): string {
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function refuse(reason: string): HostVerdict {
  return { isAllowed: false, reason };
}
