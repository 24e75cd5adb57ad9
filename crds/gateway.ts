/** HydrogenGateway: the endpoints that clients connect to. */
import { Type } from 'typebox';

import { cidrRule } from './cidr.ts';
import { egress, egressRules } from './egress.ts';
import { endpointPathRule } from './endpoint.ts';
import { exposureFields, exposureRules } from './exposure.ts';
import { groupRef, groupRefRules, paused, secretKeyRef, statsIntervalSeconds } from './fragments.ts';
import { hookFields, hookRules } from './hooks.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Integer, ListMap, ListSet, StringEnum, Text, withDefault } from './schema.ts';
import type { HydrogenGatewaySpec } from './types/gateway.ts';
import { urlRule } from './url.ts';
import { autoscaling, replicas, template, workloadRules } from './workload.ts';

/** The kind's name. */
export const gatewayKind = 'HydrogenGateway';

const endpoint = Fields(
  {
    path: Text('endpointPath', {
      description: 'URL path that clients connect to. It is compared literally: /chat and /chat/ are two endpoints.',
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
          'Seconds without any data from the client after which its connection is closed. Must exceed intervalSeconds. Default 75.',
      }),
      75,
    ),
  },
  { description: 'Pings that detect dead connections.' },
);

const limits = Fields(
  {
    maxMessageBytes: withDefault(
      Integer(1, 67108864, {
        description:
          'Maximum size of a client message in bytes; a larger one closes the connection with 1009. Keep it well below ' +
          'the max_payload of NATS. Messages are not compressed: permessage-deflate is not offered. Default 262144 (256 KiB).',
      }),
      262144,
    ),
    maxConnections: withDefault(
      Integer(1, 1000000, {
        description: 'Maximum number of connections to one pod; further ones get 503. Default 50000.',
      }),
      50000,
    ),
    maxPendingHandshakes: withDefault(
      Integer(1, 1000000, {
        description:
          'Maximum number of upgrades of one pod that are not answered yet, for example because the authorizer takes its ' +
          'time; further ones get 503. Default 10000.',
      }),
      10000,
    ),
    maxChannelsPerConnection: withDefault(
      Integer(0, 10000, {
        description: 'Maximum number of channels that one connection may be in. Default 128.',
      }),
      128,
    ),
    maxConnectionsPerAddress: withDefault(
      Integer(0, 1000000, {
        description:
          'Maximum number of connections from one client address (IPv6: from one /64) to one pod; further ones get 429. ' +
          'Behind a proxy, set trustedProxies: all of its clients share its address otherwise. 0 means no limit. Default 0.',
      }),
      0,
    ),
    handshakesPerSecondPerAddress: withDefault(
      Integer(0, 1000000, {
        description:
          'Maximum number of handshakes per second from one client address (IPv6: from one /64) to one pod; further ones ' +
          'get 429. 0 means no limit. Default 0.',
      }),
      0,
    ),
    maxBufferedBytes: withDefault(
      Integer(1024, 1073741824, {
        description:
          'Maximum number of bytes waiting to be sent to one slow client. A push that would exceed it is answered ' +
          'with 429. Default 1048576 (1 MiB).',
      }),
      1048576,
    ),
    maxMemoryBytes: withDefault(
      Integer(0, 1099511627776, {
        description:
          'Maximum number of bytes that are unfinished or queued for all clients of a pod together: unfinished messages, ' +
          'messages that wait, data that clients do not read, handshakes. Beyond it the largest connections are closed with ' +
          '1013, and new ones get 503. 0 means a quarter of the memory of the container. Default 0.',
      }),
      0,
    ),
    messageTimeoutSeconds: withDefault(
      Integer(1, 3600, {
        description:
          'Seconds that one message of a client may take to arrive, from its first byte to its last; a longer one closes the ' +
          'connection with 1008. Default 60.',
      }),
      60,
    ),
    messagesPerSecond: withDefault(
      Integer(0, 1000000, {
        description:
          'Maximum number of messages per second that are read from one client; the rest wait. 0 means no limit. Default 0.',
      }),
      0,
    ),
    maxStoredPerConnection: withDefault(
      Integer(16, 1000000, {
        description:
          'Maximum number of messages of one client that are stored and not consumed; beyond it, nothing is read from ' +
          'that client until half of them are consumed. Default 1024.',
      }),
      1024,
    ),
    maxContextBytes: withDefault(
      Integer(0, 262144, {
        description:
          'Maximum size of the context that the authorizer returns, in bytes of JSON; it travels with every message. ' +
          'If it is larger, the client is refused with 503. Default 16384.',
      }),
      16384,
    ),
    maxConnectionAgeSeconds: withDefault(
      Integer(0, 31536000, {
        description:
          'Seconds after which a connection is closed with 1001, so that its client connects again: to another pod, or ' +
          'through the authorizer once more. Each connection gets between 90 and 100 % of them, so that those which began ' +
          'together do not end together. A change applies to connections opened after it. 0 means no limit. Default 0.',
      }),
      0,
    ),
  },
  { description: 'Limits that protect a pod from its clients.' },
);

const expiry = Fields(
  {
    graceSeconds: withDefault(
      Integer(0, 86400, {
        description:
          'Seconds between the expires_at that the authorizer named and the end of the connection. A change applies to ' +
          'connections opened after it. Default 0.',
      }),
      0,
    ),
  },
  { description: 'How a connection ends whose authorization has expired: with 4001.' },
);

const managementToken = Fields(
  {
    name: Text('dnsLabel', { description: 'Name of the token in the log.' }),
    secretRef: secretKeyRef('The token.'),
    scopes: ListSet(StringEnum(['Send', 'Disconnect', 'Membership', 'Read'], { description: 'A scope.' }), {
      description:
        'What it is good for: Send messages and broadcasts, Disconnect clients, change the Membership of channels, Read ' +
        'connections and lists.',
      minItems: 1,
      maxItems: 4,
    }),
  },
  { description: 'A bearer token of the management API.' },
);

const management = Fields(
  {
    tokenSecretRef: Type.Optional(
      secretKeyRef(
        'The bearer token that callers of the management API must present; it is good for everything. Absent, and without ' +
          'tokens: none is required, and users, channels and lists are answered on loopback alone.',
      ),
    ),
    tokens: Type.Optional(
      ListMap(['name'], managementToken, {
        description:
          'Further bearer tokens, each with what it is good for. With several, one can be replaced while another is in use.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    allowedOrigins: Type.Optional(
      ListSet(Text('origin'), {
        description:
          'Web origins whose pages may call the management API, such as https://admin.example.com. Absent: none. A request ' +
          'of a browser for any other page gets 403.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    maxBodyBytes: withDefault(
      Integer(1, 67108864, {
        description:
          'Maximum size of a message pushed to a client, in bytes; a larger one gets 413. Must not exceed ' +
          'limits.maxBufferedBytes. Default 524288 (512 KiB).',
      }),
      524288,
    ),
    callbackUrl: Type.Optional(
      Text('httpUrl', {
        description:
          'Base URL under which services reach the management API, sent to them as the header hydrogen-callback. ' +
          'Absent: the URL of the Kubernetes service.',
      }),
    ),
  },
  { description: 'The API through which services push messages to clients and close connections.' },
);

/** Schema of `spec`. */
export const gatewaySpec = Fields(
  {
    paused,
    groupRef,
    mode: withDefault(
      StringEnum(['Bidirectional', 'ServerToClient'], {
        description:
          'With ServerToClient, the connection of a client that sends a message is closed with 1003. Default Bidirectional.',
      }),
      'Bidirectional',
    ),
    endpoints: ListMap(['path'], endpoint, {
      description: 'The URL paths that clients can connect to. Any other path gets 404.',
      minItems: 1,
      maxItems: 64,
    }),
    subprotocols: Type.Optional(
      ListSet(Text('subprotocol'), {
        description:
          'Accepted WebSocket subprotocols in order of preference. Absent: the first one that the client offers is accepted.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    ...hookFields,
    heartbeat: withDefault(heartbeat, {}),
    limits: withDefault(limits, {}),
    expiry: withDefault(expiry, {}),
    trustedProxies: Type.Optional(
      ListSet(Text('cidr'), {
        description:
          'Addresses of the proxies in front of the gateway, as CIDRs such as 10.0.0.0/8. What they say in X-Forwarded-For or ' +
          'Forwarded counts as the address of the client, read from the right. Absent: the address of the socket counts.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    allowedOrigins: Type.Optional(
      ListSet(Text('origin'), {
        description: 'Web origins whose pages may connect, such as https://app.example.com. Absent: all origins.',
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
              description: 'Seconds over which a stopping pod closes its connections, with 1001. Default 60.',
            }),
            60,
          ),
        },
        { description: 'How a stopping pod closes its connections.' },
      ),
      {},
    ),
    statsIntervalSeconds,
    replicas,
    autoscaling,
    ...exposureFields,
    egress,
    template,
  },
  { description: 'Specification of the gateway.' },
);

/** The rules between fields. */
export const gatewayRules: readonly CrossFieldRule[] = [
  ...groupRefRules,
  endpointPathRule('spec.endpoints[*].path'),
  ...hookRules,
  cidrRule('spec.trustedProxies[*]'),
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
  ...egressRules,
  ...workloadRules,
];
