/**
 * Patterns of hosts that a rules engine may choose: `host`, `*.suffix` (any depth below the suffix, not the suffix
 * itself), an IPv4 address or a bracketed IPv6 address, each with an optional `:port`. `parse` reads every pattern with
 * it, and pods compare with what it returns: what one accepts, the other runs.
 */
import { type CrossFieldRule, rule } from './rules.ts';

/** A pattern in the form that the host of a parsed URL has. */
export interface HostPattern {
  readonly isSuffix: boolean;
  /** Normalised; with its leading dot for a suffix. */
  readonly host: string;
  /** Undefined: every port. */
  readonly port: string | undefined;
}

/** Undefined: the text is not a pattern. */
export function readHostPattern(pattern: string): HostPattern | undefined {
  const [, star, name = '', port] =
    /^(\*\.)?(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]*\\]+)(?::(\d{1,5}))?$/.exec(pattern) ?? [];
  // The URL parser brings upper case, international names and IP addresses into the form that answers will have.
  const parsed = URL.parse(`http://${name}/`);
  if (name === '' || parsed === null || Number(port) > 65_535) return undefined;
  const isAddress = /^\[|^[0-9.]+$/.test(parsed.hostname);
  if (star !== undefined && isAddress) return undefined;
  const host = withoutTrailingDot(parsed.hostname);
  return {
    isSuffix: star !== undefined,
    host: star === undefined ? host : `.${host}`,
    port: port === undefined ? undefined : String(Number(port)),
  };
}

/** `example.com.` is the same host as `example.com`. */
export function withoutTrailingDot(host: string): string {
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

/** The rule that the string at `path` is a pattern of hosts. */
export function hostPatternRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    rule: "isURL('http://' + (self.startsWith('*.') ? self.substring(2) : self) + '/')",
    message: 'must be a host that exists in URLs: check the address in brackets, and labels that begin with xn--',
    check: (self) => readHostPattern(self) !== undefined,
  });
}
