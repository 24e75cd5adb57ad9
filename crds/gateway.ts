/** HydrogenGateway: where clients connect. */
import { Type } from 'typebox';

import { endpointPathRule } from './endpoint.ts';
import { exposureFields, exposureRules } from './exposure.ts';
import { groupRef, groupRefRules, paused, secretKeyRef, statsIntervalSeconds } from './fragments.ts';
import { hookFields, hookRules } from './hooks.ts';
import type { Input, Resolved } from './infer.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Integer, ListMap, ListSet, StringEnum, Text, withDefault } from './schema.ts';
import { urlRule } from './url.ts';
import { autoscaling, replicas, template, workloadRules } from './workload.ts';

/** The kind's name. */
export const gatewayKind = 'HydrogenGateway';

const endpoint = Fields(
  {
    path: Text('endpointPath', {
      description: 'URL path that clients connect to, compared as it is written: /chat and /chat/ are two endpoints.',
    }),
  },
  { description: 'One endpoint.' },
);

const heartbeat = Fields(
  {
    intervalSeconds: withDefault(
      Integer(1, 3600, { description: 'Seconds between two pings to a client. Default 30.' }),
      30,
    ),
    timeoutSeconds: withDefault(
      Integer(2, 7200, {
        description:
          'Seconds without a sign of life after which a connection is dropped. Exceeds intervalSeconds. Default 75.',
      }),
      75,
    ),
  },
  { description: 'How connections that died in silence are found.' },
);

const limits = Fields(
  {
    maxMessageBytes: withDefault(
      Integer(1, 67108864, {
        description:
          'Largest message of a client, in bytes; a larger one closes its connection with 1009. Keep it well below the ' +
          'max_payload of NATS. Default 262144 (256 KiB).',
      }),
      262144,
    ),
    maxConnections: withDefault(
      Integer(1, 1000000, { description: 'Most connections to one pod; further ones get 503. Default 50000.' }),
      50000,
    ),
    maxBufferedBytes: withDefault(
      Integer(1024, 1073741824, {
        description:
          'Bytes that may wait to be sent to one slow client. A push that would exceed it is answered 429. Default ' +
          '1048576 (1 MiB).',
      }),
      1048576,
    ),
    messagesPerSecond: withDefault(
      Integer(0, 1000000, {
        description: 'Messages a second that are read from one client; the rest wait. 0 is unlimited. Default 0.',
      }),
      0,
    ),
    maxContextBytes: withDefault(
      Integer(0, 262144, {
        description:
          'Largest context that the authorizer may return, in bytes of JSON; it travels with every message. ' +
          'A larger one refuses the client with 503. Default 16384.',
      }),
      16384,
    ),
  },
  { description: 'Bounds that protect a pod from its clients.' },
);

const management = Fields(
  {
    tokenSecretRef: Type.Optional(
      secretKeyRef('The bearer token that callers of the management API must present. Absent: none is asked for.'),
    ),
    maxBodyBytes: withDefault(
      Integer(1, 67108864, {
        description:
          'Largest message that can be pushed to a client, in bytes; a larger one gets 413. At most ' +
          'limits.maxBufferedBytes. Default 524288 (512 KiB).',
      }),
      524288,
    ),
    callbackUrl: Type.Optional(
      Text('httpUrl', {
        description:
          'Base URL at which services reach the management API, sent to them as header hydrogen-callback. ' +
          'Absent: the URL of the service in the cluster.',
      }),
    ),
  },
  { description: 'The API by which services push messages to clients and close connections.' },
);

/** Schema of `spec`. */
export const gatewaySpec = Fields(
  {
    paused,
    groupRef,
    mode: withDefault(
      StringEnum(['Bidirectional', 'ServerToClient'], {
        description:
          'ServerToClient closes the connection of a client that sends a message, with 1003. Default Bidirectional.',
      }),
      'Bidirectional',
    ),
    endpoints: ListMap(['path'], endpoint, {
      description: 'The URL paths that clients can connect to. Any other gets 404.',
      minItems: 1,
      maxItems: 64,
    }),
    subprotocols: Type.Optional(
      ListSet(Text('subprotocol'), {
        description:
          'WebSocket subprotocols that are accepted, the preferred one first. Absent: the first that a client offers.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    ...hookFields,
    heartbeat: withDefault(heartbeat, {}),
    limits: withDefault(limits, {}),
    allowedOrigins: Type.Optional(
      ListSet(Text('origin'), {
        description: 'Web origins whose pages may connect, such as https://app.example.com. Absent: any.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    management: withDefault(management, {}),
    drain: withDefault(
      Fields(
        {
          periodSeconds: withDefault(
            Integer(0, 3600, {
              description: 'Seconds over which a pod that stops closes its connections, with 1001. Default 60.',
            }),
            60,
          ),
        },
        { description: 'How a pod says goodbye to its clients.' },
      ),
      {},
    ),
    statsIntervalSeconds,
    replicas,
    autoscaling,
    ...exposureFields,
    template,
  },
  { description: 'What the gateway shall be like.' },
);

/** `spec` after defaults. */
export type HydrogenGatewaySpec = Resolved<typeof gatewaySpec>;
/** `spec` as a user writes it. */
export type HydrogenGatewaySpecInput = Input<typeof gatewaySpec>;
/** Bounds that protect a pod from its clients. */
export type Limits = HydrogenGatewaySpec['limits'];

/** The rules between fields. */
export const gatewayRules: readonly CrossFieldRule[] = [
  ...groupRefRules,
  endpointPathRule('spec.endpoints[*].path'),
  ...hookRules,
  urlRule('spec.management.callbackUrl'),
  rule<HydrogenGatewaySpec>({
    path: 'spec',
    field: 'heartbeat.timeoutSeconds',
    reads: ['heartbeat.intervalSeconds', 'heartbeat.timeoutSeconds'],
    rule: 'self.heartbeat.timeoutSeconds > self.heartbeat.intervalSeconds',
    message: 'must exceed intervalSeconds ({heartbeat.intervalSeconds}), is {heartbeat.timeoutSeconds}',
    check: ({ heartbeat }) => heartbeat.timeoutSeconds > heartbeat.intervalSeconds,
  }),
  rule<HydrogenGatewaySpec>({
    path: 'spec',
    field: 'management.maxBodyBytes',
    reads: ['management.maxBodyBytes', 'limits.maxBufferedBytes'],
    rule: 'self.management.maxBodyBytes <= self.limits.maxBufferedBytes',
    message: 'must not exceed limits.maxBufferedBytes ({limits.maxBufferedBytes}), is {management.maxBodyBytes}',
    check: ({ management, limits }) => management.maxBodyBytes <= limits.maxBufferedBytes,
  }),
  ...exposureRules,
  ...workloadRules,
];
