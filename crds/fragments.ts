/** Fields that several kinds have: references to secrets and groups, HTTP calls and their headers. */
import { type TInteger, type TObject, type TString, Type } from 'typebox';

import { isReservedHeader, reservedHeaders } from './headers.ts';
import type { Defaulted } from './infer.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { type Described, Fields, Flag, FreeText, Integer, ListMap, Text, withDefault } from './schema.ts';
import { urlRule } from './url.ts';

/** A reference to one key of a secret in the same namespace. */
export function secretKeyRef(description: string): TObject<{ name: TString; key: TString }> {
  return Fields(
    {
      name: Text('dnsName', { description: 'Name of the secret, in the namespace of this object.' }),
      key: Text('secretKey', { description: 'Key in the secret that holds the value.' }),
    },
    { description },
  );
}

/** The field `groupRef`. */
export const groupRef = Fields(
  {
    name: Text('dnsLabel', { description: 'Name of a HydrogenGroup in the namespace of this object.', maxLength: 52 }),
  },
  { description: 'The group that this object belongs to, and whose bus it uses. It cannot be changed later.' },
);

/** A value that comes from elsewhere, for headers and environment variables. */
const valueFrom = Type.Optional(
  Fields(
    { secretKeyRef: secretKeyRef('The key of a secret that holds the value.') },
    { description: 'Where the value comes from. Exactly one of value and valueFrom is set.' },
  ),
);

const header = Fields(
  {
    name: Text('headerName', {
      description:
        'Name of the header. Names that hydrogen sets itself (hydrogen-*, content-type, traceparent) and those of the ' +
        'HTTP connection (host, content-length, ...) are not allowed.',
    }),
    value: Type.Optional(
      Text('headerValue', { description: 'The value, sent unchanged. For secrets, use valueFrom.' }),
    ),
    valueFrom,
  },
  { description: 'One header.' },
);

/** One environment variable of a container. */
export const environmentVariable = Fields(
  {
    name: Text('environmentName', { description: 'Name of the variable.' }),
    value: Type.Optional(FreeText(4096, { description: 'Value of the variable. For secrets, use valueFrom.' })),
    valueFrom,
  },
  { description: 'One environment variable.' },
);

const headers = withDefault(
  ListMap(['name'], header, {
    description: 'Headers sent with every request, in addition to those of hydrogen. Default: none.',
    maxItems: 16,
  }),
  [],
);

/** The fields of every HTTP call, to be spread among those of an object. */
export type HttpCallFields = {
  url: TString;
  headers: typeof headers;
  timeoutSeconds: Defaulted<TInteger>;
};

/** The fields of an HTTP call that times out after `timeoutSeconds` by default. */
export function httpCallFields(timeoutSeconds: number, maxTimeoutSeconds: number): HttpCallFields {
  return {
    url: Text('httpUrl', { description: 'The http:// or https:// URL that receives a POST.' }),
    headers,
    timeoutSeconds: withDefault(
      Integer(1, maxTimeoutSeconds, {
        description: `Seconds after which the call fails unless it has been answered completely. Default ${timeoutSeconds}.`,
      }),
      timeoutSeconds,
    ),
  };
}

/** An HTTP call to a hook. */
export function httpCall(options: Described): TObject<HttpCallFields> {
  return Fields(httpCallFields(5, 60), options);
}

/** The field `spec.paused`. */
export const paused = withDefault(
  Flag({
    description:
      'Stops the operator from changing anything for this object, so that its children can be edited by hand. Its pods ' +
      'keep running. Default false.',
  }),
  false,
);

/** The field `statsIntervalSeconds`. */
export const statsIntervalSeconds = withDefault(
  Integer(0, 3600, { description: 'Seconds between two log lines with statistics; 0 disables them. Default 30.' }),
  30,
);

/** The rule that the group of an object stays the same. */
export const groupRefRules: readonly CrossFieldRule[] = [
  rule({
    path: 'spec.groupRef',
    rule: 'self == oldSelf',
    message: 'cannot be changed; delete the object and create it with the other group',
  }),
];

/** The rule that each entry at `path` has exactly one of `value` and `valueFrom`. */
export function valueRule(path: string): CrossFieldRule {
  return rule<{ value?: unknown; valueFrom?: unknown }>({
    path,
    reads: [],
    rule: 'has(self.value) != has(self.valueFrom)',
    message: 'must have exactly one of value, valueFrom',
    check: (self) => (self.value === undefined) !== (self.valueFrom === undefined),
  });
}

/** The rules for the URL and the headers of the HTTP call at `path`. */
export function httpCallRules(path: string): readonly CrossFieldRule[] {
  return [
    urlRule(`${path}.url`),
    valueRule(`${path}.headers[*]`),
    rule<{ name: string }>({
      path: `${path}.headers[*]`,
      field: 'name',
      reads: ['name'],
      rule: `!self.name.lowerAscii().startsWith('hydrogen-') && !(self.name.lowerAscii() in ${JSON.stringify(reservedHeaders)})`,
      message: '{name} is set by hydrogen or by HTTP itself; choose another name',
      check: ({ name }) => !isReservedHeader(name),
    }),
    rule<readonly { name: string }[]>({
      path: `${path}.headers`,
      rule: 'self.all(a, self.exists_one(b, a.name.lowerAscii() == b.name.lowerAscii()))',
      message: 'must not contain a header twice; names are case-insensitive',
      check: (self) => new Set(self.map(({ name }) => name.toLowerCase())).size === self.length,
    }),
  ];
}
