/**
 * Tokens that gateways verify by themselves: JSON Web Tokens (RFC 7519) of issuers whose keys are known. The shape and
 * the names are those of the JWT providers in a SecurityPolicy of Envoy Gateway, as far as they go.
 */
import { Type } from 'typebox';

import { secretKeyRef } from './fragments.ts';
import { isObject } from './json.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, FreeText, Integer, ListMap, ListSet, StringEnum, Text, withDefault } from './schema.ts';
import type { HydrogenGatewaySpec, JwtProvider, LocalJwks } from './types/gateway.ts';
import { urlRule } from './url.ts';

const remoteJWKS = Fields(
  {
    uri: Text('httpUrl', {
      description:
        'The http:// or https:// URL of the key set; for most issuers it is the jwks_uri of their discovery document. Redirects are not followed.',
    }),
    cacheSeconds: withDefault(
      Integer(1, 86400, {
        description:
          'Seconds after which the keys are fetched again. While the issuer does not answer, the last ones stay in use. A token with an ' +
          'unknown key has them fetched earlier, at most every ten seconds. Default 300.',
      }),
      300,
    ),
  },
  { description: 'Keys that the issuer publishes.' },
);

const localJWKS = Fields(
  {
    type: StringEnum(['Inline', 'ValueRef'], { description: 'Whether the key set is in inline or in valueRef.' }),
    inline: Type.Optional(
      FreeText(65536, { description: 'The key set: JSON of public keys (RFC 7517 section 5).', minLength: 1 }),
    ),
    valueRef: Type.Optional(
      Fields(
        { secretKeyRef: secretKeyRef('The key of a secret that holds the key set.') },
        { description: 'Where the key set comes from.' },
      ),
    ),
  },
  { description: 'Keys that are given here.' },
);

const extractFrom = Fields(
  {
    headers: Type.Optional(
      ListMap(
        ['name'],
        Fields(
          {
            name: Text('headerName', {
              description: 'Name of the header. Browsers cannot set headers of a WebSocket.',
            }),
            valuePrefix: withDefault(
              FreeText(64, {
                description:
                  'What comes before the token, such as "Bearer "; upper and lower case are the same. Default: nothing.',
              }),
              '',
            ),
          },
          { description: 'One header.' },
        ),
        { description: 'Headers that may carry a token.', minItems: 1, maxItems: 8 },
      ),
    ),
    params: Type.Optional(
      ListSet(FreeText(128, { minLength: 1 }), {
        description: 'Query parameters that may carry a token. Proxies on the way may log them: prefer another place.',
        minItems: 1,
        maxItems: 8,
      }),
    ),
    cookies: Type.Optional(
      ListSet(Text('headerName'), {
        description:
          'Cookies that may carry a token. Needs spec.allowedOrigins, since browsers send cookies for any page.',
        minItems: 1,
        maxItems: 8,
      }),
    ),
    subprotocols: Type.Optional(
      ListMap(
        ['prefix'],
        Fields(
          {
            prefix: Text('subprotocol', {
              description:
                'Beginning of the subprotocol; the token is the rest. The client has to offer a second subprotocol beside it, which is negotiated.',
            }),
          },
          { description: 'Subprotocols with one beginning.' },
        ),
        { description: 'Subprotocols that may carry a token: the place for browsers.', minItems: 1, maxItems: 8 },
      ),
    ),
  },
  {
    description:
      'Where clients put the token. The first that is there counts, in this order. Default: the header Authorization, after "Bearer ".',
  },
);

const claim = (description: string) => FreeText(256, { description, minLength: 1 });

const claims = Fields(
  {
    user: withDefault(
      claim(
        'The claim that names the user, a string: a literal name, or a JSON Pointer if it begins with / (RFC 6901). A token without it is refused. Default sub.',
      ),
      'sub',
    ),
    channels: Type.Optional(
      claim(
        'The claim that names the channels which the connection is a member of from the beginning, a list of strings: a literal ' +
          'name, or a JSON Pointer. A token without it names none; one whose list is of another form is refused. Default: none.',
      ),
    ),
    context: withDefault(
      ListSet(FreeText(256, { minLength: 1 }), {
        description:
          'Claims that make up the context, byte for byte: literal names, or JSON Pointers, which keep their place: /realm_access/roles gives ' +
          '{"realm_access": {"roles": [...]}}. Claims that a token does not have are left out. Default: none.',
        maxItems: 32,
      }),
      [],
    ),
  },
  { description: 'Which claims are used. Pointers step through objects only.' },
);

const provider = Fields(
  {
    name: Text('dnsLabel', { description: 'Name of the provider, for the log and metrics.' }),
    issuer: FreeText(2048, {
      description: 'The claim iss that tokens must have, character by character.',
      minLength: 1,
    }),
    audiences: ListSet(FreeText(512, { minLength: 1 }), {
      description: 'Tokens must have one of these in their claim aud.',
      minItems: 1,
      maxItems: 16,
    }),
    algorithms: withDefault(
      ListSet(
        StringEnum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'], {
          description: 'An algorithm with a public key.',
        }),
        {
          description: 'Signature algorithms that are accepted. Default RS256, PS256, ES256 and EdDSA.',
          minItems: 1,
          maxItems: 10,
        },
      ),
      ['RS256', 'PS256', 'ES256', 'EdDSA'],
    ),
    clockSkewSeconds: withDefault(
      Integer(0, 300, {
        description: 'Seconds by which the clocks of issuer and gateway may differ, for exp and nbf. Default 60.',
      }),
      60,
    ),
    remoteJWKS: Type.Optional(remoteJWKS),
    localJWKS: Type.Optional(localJWKS),
    extractFrom: withDefault(extractFrom, { headers: [{ name: 'Authorization', valuePrefix: 'Bearer ' }] }),
    claims: withDefault(claims, {}),
  },
  { description: 'An issuer of tokens, and what is done with them. Exactly one of remoteJWKS and localJWKS is set.' },
);

/** The field `authorizer.jwt`. */
export const jwt = Fields(
  {
    providers: ListMap(['name'], provider, {
      description: 'Issuers in order; the first that accepts a token of the client decides.',
      minItems: 1,
      maxItems: 8,
    }),
  },
  {
    description:
      'Admits clients with a JSON Web Token of one of these issuers; others get 401. The connection ends with the token. With http, ' +
      'that service is asked afterwards, with the claims.',
  },
);

const path = 'spec.authorizer.jwt.providers[*]';

/** The rules for it. */
export const jwtRules: readonly CrossFieldRule[] = [
  urlRule(`${path}.remoteJWKS.uri`),
  rule<JwtProvider>({
    path,
    reads: [],
    rule: 'has(self.remoteJWKS) != has(self.localJWKS)',
    message: 'must have exactly one of remoteJWKS, localJWKS',
    check: (self) => (self.remoteJWKS === undefined) !== (self.localJWKS === undefined),
  }),
  rule<LocalJwks>({
    path: `${path}.localJWKS`,
    reads: ['type'],
    rule: "(self.type == 'Inline') == has(self.inline) && (self.type == 'ValueRef') == has(self.valueRef)",
    message: 'must have inline with type Inline, or valueRef with type ValueRef, and not the other',
    check: ({ type, inline, valueRef }) =>
      (type === 'Inline') === (inline !== undefined) && (type === 'ValueRef') === (valueRef !== undefined),
  }),
  rule<string>({
    path: `${path}.localJWKS.inline`,
    // CEL reads no JSON: the API server takes what the operator and the pods refuse.
    rule: 'true',
    message: 'must be a JSON Web Key Set of public keys, {"keys": [...]}',
    check: checkKeySet,
  }),
  rule<JwtProvider>({
    path,
    field: 'extractFrom',
    reads: ['extractFrom'],
    rule:
      'has(self.extractFrom.headers) || has(self.extractFrom.params) || has(self.extractFrom.cookies) || ' +
      'has(self.extractFrom.subprotocols)',
    message: 'must have at least one of headers, params, cookies, subprotocols',
    check: ({ extractFrom: { headers, params, cookies, subprotocols } }) =>
      [headers, params, cookies, subprotocols].some((places) => places !== undefined),
  }),
  rule<JwtProvider>({
    path,
    field: 'claims',
    reads: ['claims'],
    rule:
      '([self.claims.user] + (has(self.claims.channels) ? [self.claims.channels] : []) + self.claims.context)' +
      ".all(c, !c.startsWith('/') || !c.matches('~([^01]|$)'))",
    message: 'has a name that begins with / and is no JSON Pointer: write ~ as ~0',
    check: ({ claims: { user, channels = '', context } }) =>
      [user, channels, ...context].every((name) => !name.startsWith('/') || !/~([^01]|$)/.test(name)),
  }),
  rule<HydrogenGatewaySpec>({
    path: 'spec',
    field: 'allowedOrigins',
    reads: ['allowedOrigins', 'authorizer.jwt.providers'],
    rule:
      'has(self.allowedOrigins) || !has(self.authorizer) || !has(self.authorizer.jwt) || ' +
      'self.authorizer.jwt.providers.all(p, !has(p.extractFrom.cookies))',
    message: 'is required with tokens in cookies, which browsers send for any page',
    check: ({ allowedOrigins, authorizer }) =>
      allowedOrigins !== undefined ||
      (authorizer?.jwt?.providers ?? []).every(({ extractFrom }) => extractFrom.cookies === undefined),
  }),
];

/** Members that only private and symmetric keys have (RFC 7518 section 6). */
const privateMembers = ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];

function checkKeySet(text: string): boolean | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The reason would repeat parts of the value.
    return 'it is not JSON';
  }
  if (!isObject(value) || !Array.isArray(value.keys)) return 'it has no keys';
  if (!value.keys.every((key) => isObject(key) && typeof key.kty === 'string')) return 'one has no kty';
  const isPrivate = value.keys.some((key: object) => privateMembers.some((member) => member in key));
  return isPrivate ? 'one is private or symmetric, which must not be here' : true;
}
