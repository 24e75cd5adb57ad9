/** The services that a gateway calls about its connections: authorizer, connect hook and disconnect hook. */
import { Type } from 'typebox';

import { httpCall, httpCallFields, httpCallRules } from './fragments.ts';
import { jwt, jwtRules } from './jwt.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Integer, withDefault } from './schema.ts';
import type { GatewayAuthorizer } from './types/gateway.ts';

const authorizer = Fields(
  {
    jwt: Type.Optional(jwt),
    http: Type.Optional(
      httpCall({
        description:
          'Called before a client is admitted. 200 admits it, with an optional context; 403 refuses it with 403, any other ' +
          '4xx with 401; an error or no answer with 503.',
      }),
    ),
  },
  {
    description:
      'Decides which clients are admitted. At least one of jwt and http is set; with both, jwt comes first. Absent: all of them.',
  },
);

const disconnect = Fields(
  {
    ...httpCallFields(5, 60),
    maxAttempts: withDefault(
      Integer(1, 100, {
        description: 'Maximum number of attempts to get a 2xx answer. Default 5.',
      }),
      5,
    ),
  },
  { description: 'Called after a connection has ended.' },
);

const hooks = Fields(
  {
    connect: Type.Optional(
      httpCall({
        description: 'Called after a client has been admitted. Any answer other than 2xx refuses the client with 500.',
      }),
    ),
    disconnect: Type.Optional(disconnect),
  },
  { description: 'Services that are called when connections open and close.' },
);

/** The fields `authorizer` and `hooks`. */
export const hookFields = {
  authorizer: Type.Optional(authorizer),
  hooks: withDefault(hooks, {}),
};

/** The rules for them. */
export const hookRules: readonly CrossFieldRule[] = [
  rule<GatewayAuthorizer>({
    path: 'spec.authorizer',
    reads: [],
    rule: 'has(self.jwt) || has(self.http)',
    message: 'must have at least one of jwt, http',
    check: ({ jwt, http }) => jwt !== undefined || http !== undefined,
  }),
  ...jwtRules,
  ...httpCallRules('spec.authorizer.http'),
  ...httpCallRules('spec.hooks.connect'),
  ...httpCallRules('spec.hooks.disconnect'),
];
