/**
 * Every syntax that a string field may have, defined once: its regular expression (in the subset that RE2 and JavaScript
 * share, because it also goes into the CRD), its maximum length in characters, and the wording of its error message.
 */

/** The syntax of a string field. */
export interface Grammar {
  /** Anchored regular expression, without look-around or back-references. */
  readonly pattern: string;
  readonly maxLength: number;
  /** Completes the sentence "must be ...". */
  readonly words: string;
  /** Whether messages must not repeat the value. Default false. */
  readonly isPrivate?: boolean;
}

// JavaScript, which calls URLs, and Go, in which the API server checks them, read some hosts differently: a last label
// that is a number but not part of an IPv4 address, and old notations of such addresses. Those are refused.
const lastLabel = '([A-Za-z_]|[0-9]+[A-WYZa-wyz_-]|[0-9]+[xX][0-9A-Fa-f]*[G-Zg-z_-])[A-Za-z0-9_-]*';
const name = `([A-Za-z0-9_][A-Za-z0-9_-]*[.])*${lastLabel}[.]?`;
const byte = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const hex = '[0-9A-Fa-f]{1,4}';
const hexes = `(${hex}(:${hex})*)?`;
const host = `(${name}|(${byte}[.]){3}${byte}|\\[((${hex}:){7}${hex}|${hexes}::${hexes})\\])`;
const port = '(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5]?[0-9]{1,4}))?';
const escaped = '%[0-9A-Fa-f]{2}';
const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const tchar = "[A-Za-z0-9!#$%&'*+.^_`|~-]";
const pchar = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})";

/** The syntaxes by name. */
export const grammars = {
  httpUrl: {
    pattern: `^https?://${host}${port}([/?]([!-"$&-~]|${escaped})*)?$`,
    maxLength: 2048,
    words: 'a valid http:// or https:// URL, without user name, password, fragment or spaces',
  },
  natsUrl: {
    pattern: `^(nats|tls|ws)://${host}${port}/?$`,
    maxLength: 512,
    words: 'a nats://, tls:// or ws:// URL with a valid host and port, without user name or password',
  },
  origin: {
    pattern: `^[a-z][a-z0-9+.-]*://([*][.])?${host}${port}$`,
    maxLength: 512,
    words: 'an origin such as https://app.example.com or https://*.example.com, without a path',
  },
  allowedHost: {
    pattern: `^([*][.]${name}|${host})${port}$`,
    maxLength: 260,
    words: 'a host name, or *. and a domain, with an optional :port',
  },
  cidr: {
    pattern: '^([0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}|[0-9A-Fa-f:]{2,39}/[0-9]{1,3})$',
    maxLength: 43,
    words: 'a range of IP addresses such as 10.0.0.0/8 or 2001:db8::/32',
  },
  endpointPath: {
    pattern: `^/(${pchar}+(/${pchar}+)*/?)?$`,
    maxLength: 256,
    words: 'a URL path that starts with /, has no empty segment and no query, and percent-encodes all other characters',
  },
  headerName: {
    pattern: `^${tchar}+$`,
    maxLength: 64,
    words: 'the name of an HTTP header',
  },
  headerValue: {
    pattern: '^[\\t -~]*$',
    maxLength: 4096,
    words: 'a header value of printable ASCII characters, without line breaks',
    isPrivate: true,
  },
  subprotocol: {
    pattern: `^${tchar}+$`,
    maxLength: 128,
    words: "the name of a WebSocket subprotocol: letters, digits and !#$%&'*+-.^_`|~",
  },
  dnsLabel: {
    pattern: `^${label}$`,
    maxLength: 63,
    words: "a DNS label: lower-case letters, digits and '-', beginning and ending with a letter or digit",
  },
  dnsName: {
    pattern: `^${label}([.]${label})*$`,
    maxLength: 253,
    words: 'a DNS name: lower-case labels separated by dots',
  },
  ingressHost: {
    pattern: `^([*][.])?${label}([.]${label})*$`,
    maxLength: 253,
    words: 'a DNS name, which may begin with *.',
  },
  secretKey: {
    pattern: '^([-_a-zA-Z0-9]|[.][-_a-zA-Z0-9])[-._a-zA-Z0-9]*$',
    maxLength: 253,
    words: "the name of a key in a secret: letters, digits, '-', '_' and '.', not beginning with '..'",
  },
  environmentName: {
    pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
    maxLength: 128,
    words: "the name of an environment variable: letters, digits and '_', not beginning with a digit",
  },
  labelValue: {
    pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$',
    maxLength: 63,
    words: "a label value: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
  },
  quantity: {
    pattern: '^[0-9]+([.][0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E|[eE][0-9]{1,2})?$',
    maxLength: 32,
    words: 'a quantity such as 500m, 512Mi or 4Gi (in quotes if it has a decimal point)',
  },
} as const satisfies Record<string, Grammar>;

/** The name of a syntax. */
export type GrammarName = keyof typeof grammars;

/** The syntax that `pattern` belongs to; undefined if it is not one of ours. */
export function grammarOf(pattern: string): Grammar | undefined {
  return Object.values<Grammar>(grammars).find((grammar) => grammar.pattern === pattern);
}
