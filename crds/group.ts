/** HydrogenGroup: gateways and message processors that share one bus. */
import { Type } from 'typebox';

import { paused, secretKeyRef } from './fragments.ts';
import { parseQuantity } from './quantity.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Integer, List, ListSet, Quantity, StringEnum, Text, withDefault } from './schema.ts';
import type { HydrogenGroupSpec } from './types/group.ts';
import { urlRule } from './url.ts';

/** The kind's name. */
export const groupKind = 'HydrogenGroup';

const tls = Fields(
  {
    caSecretRef: Type.Optional(
      secretKeyRef('PEM certificates of the trusted authorities. Absent: those of the system.'),
    ),
    certSecretRef: Type.Optional(secretKeyRef('PEM certificate that hydrogen presents. Requires keySecretRef.')),
    keySecretRef: Type.Optional(secretKeyRef('PEM private key of the certificate. Requires certSecretRef.')),
  },
  { description: 'TLS settings for NATS. If present, connections use TLS only.' },
);

const managed = Fields(
  {
    replicas: withDefault(
      Integer(1, 5, { description: 'Number of NATS servers: 1, 3 or 5, so that they can form a majority. Default 3.' }),
      3,
    ),
    storage: withDefault(
      Fields(
        {
          size: withDefault(
            Quantity({
              description:
                "Size of each server's volume. It must have room for one and a half times stream.maxBytes, and for " +
                'deadLetter.maxBytes. Default 4Gi.',
            }),
            '4Gi',
          ),
          className: Type.Optional(
            Text('dnsName', { description: "Storage class of the volumes. Absent: the cluster's default class." }),
          ),
        },
        { description: 'The volume of each NATS server. It cannot be changed later.' },
      ),
      {},
    ),
    sync: withDefault(
      StringEnum(['Interval', 'Always'], {
        description:
          'When a server forces what it has stored onto its volume. Interval: every two minutes, as NATS does by default. ' +
          'A machine that loses power, or whose kernel crashes, loses up to the last two minutes of what its servers ' +
          'stored, acknowledged messages included. With stream.replicas 1 these messages are lost. With 3 or 5, a majority ' +
          'of the servers has each acknowledged message: it is lost if all of these lose power within two minutes, or if ' +
          'one of them does and, once it is back, forms a majority with servers that had not received the message yet. ' +
          'Always: before each acknowledgement, so that an acknowledged message is on the volume; publishing is slower. ' +
          'With either, a server process that is killed loses nothing that it has acknowledged. A change restarts the ' +
          'servers one after another. Default Interval.',
      }),
      'Interval',
    ),
  },
  {
    description:
      'Runs NATS with JetStream for this group, as a StatefulSet. With tokenSecretRef its servers require that token. ' +
      'Exactly one of servers and managed is set.',
  },
);

const nats = Fields(
  {
    servers: Type.Optional(
      ListSet(Text('natsUrl'), {
        description:
          'URLs (nats://, tls:// or ws://) of the NATS servers, which must have JetStream enabled. They are tried in any ' +
          'order. Exactly one of servers and managed is set.',
        minItems: 1,
        maxItems: 16,
      }),
    ),
    managed: Type.Optional(managed),
    credentialsSecretRef: Type.Optional(
      secretKeyRef('What to log in with: a NATS credentials file (JWT and seed), or the seed of an NKey alone.'),
    ),
    gatewayCredentialsSecretRef: Type.Optional(
      secretKeyRef(
        'What gateways log in with instead, so that NATS can give them other rights than the operator. Requires ' +
          'credentialsSecretRef. Only their pods mount it, and they do not mount credentialsSecretRef.',
      ),
    ),
    processorCredentialsSecretRef: Type.Optional(
      secretKeyRef('The same for message processors and the commands that run in their pods.'),
    ),
    tokenSecretRef: Type.Optional(
      secretKeyRef('A NATS token to log in with. With managed, it must not contain single quotes or line breaks.'),
    ),
    tls: Type.Optional(tls),
  },
  { description: 'The NATS servers that carry the bus.' },
);

const stream = Fields(
  {
    storage: withDefault(
      StringEnum(['File', 'Memory'], {
        description:
          'Where NATS stores messages. Messages in Memory are lost when the servers restart. It cannot be changed later. Default File.',
      }),
      'File',
    ),
    replicas: withDefault(
      Integer(1, 5, { description: 'Number of NATS servers that store a copy of each message: 1, 3 or 5. Default 1.' }),
      1,
    ),
    maxAgeSeconds: withDefault(
      Integer(60, 31536000, {
        description: 'Seconds after which NATS discards a message that has not been processed. Default 86400 (1 day).',
      }),
      86400,
    ),
    maxBytes: withDefault(
      Quantity({
        description:
          'Maximum size of the stream, at least 1Ki. A full stream discards nothing: gateways stop reading from their ' +
          'clients until there is room. The stream of waiting rooms may be half as large in addition. Default 1Gi.',
      }),
      '1Gi',
    ),
    deletionPolicy: withDefault(
      StringEnum(['Retain', 'Delete'], {
        description: 'Whether the streams are kept or deleted when the group is deleted. Default Retain.',
      }),
      'Retain',
    ),
  },
  { description: 'The JetStream stream that stores client messages until they are delivered.' },
);

const deadLetter = Fields(
  {
    maxAgeSeconds: withDefault(
      Integer(60, 31536000, { description: 'Seconds for which a dead letter is kept. Default 1209600 (14 days).' }),
      1209600,
    ),
    maxBytes: withDefault(
      Quantity({
        description:
          'Maximum size of the stream of dead letters, at least 1Ki. When it is full, messages that would become dead ' +
          'letters stay on the stream until there is room. Default 1Gi.',
      }),
      '1Gi',
    ),
  },
  { description: 'The stream of dead letters: messages that could not be delivered.' },
);

/** Schema of `spec`. */
export const groupSpec = Fields(
  {
    paused,
    nats,
    stream: withDefault(stream, {}),
    deadLetter: withDefault(deadLetter, {}),
    signing: Type.Optional(
      Fields(
        {
          secretRefs: List(secretKeyRef('A key.'), {
            description:
              'Keys of secrets, each with whsec_ and the base64 of 24 to 64 bytes. Requests carry a signature of each key, so ' +
              'that one can be replaced while services still know the other.',
            minItems: 1,
            maxItems: 2,
          }),
        },
        {
          description:
            'Requests to destinations, hooks, authorizers and rules engines are signed, as Standard Webhooks says. Absent: ' +
            'they are not.',
        },
      ),
    ),
    instanceLeaseSeconds: withDefault(
      Integer(10, 300, {
        description:
          'Seconds after which the connections of a gateway that has lost the bus count as gone in the rest of the group. ' +
          'That gateway closes them, with 1013, after 80 % of this time. Default 30.',
      }),
      30,
    ),
  },
  { description: 'Specification of the group.' },
);

type Nats = HydrogenGroupSpec['nats'];

/** The rules between fields. */
export const groupRules: readonly CrossFieldRule[] = [
  rule<Nats>({
    path: 'spec.nats',
    reads: [],
    rule: 'has(self.servers) != has(self.managed)',
    message: 'must have exactly one of servers, managed',
    check: (self) => (self.servers === undefined) !== (self.managed === undefined),
  }),
  rule<Nats>({
    path: 'spec.nats',
    reads: [],
    rule: '!has(self.credentialsSecretRef) || !has(self.tokenSecretRef)',
    message: 'must have at most one of credentialsSecretRef, tokenSecretRef',
    check: (self) => self.credentialsSecretRef === undefined || self.tokenSecretRef === undefined,
  }),
  ...(['gatewayCredentialsSecretRef', 'processorCredentialsSecretRef'] as const).map((field) =>
    rule<Nats>({
      path: 'spec.nats',
      field,
      reads: [],
      rule: `!has(self.${field}) || has(self.credentialsSecretRef)`,
      message: 'requires credentialsSecretRef, with which the operator logs in',
      check: (self) => self[field] === undefined || self.credentialsSecretRef !== undefined,
    }),
  ),
  rule<NonNullable<Nats['tls']>>({
    path: 'spec.nats.tls',
    reads: [],
    rule: 'has(self.certSecretRef) == has(self.keySecretRef)',
    message: 'must have both of certSecretRef, keySecretRef or neither',
    check: (self) => (self.certSecretRef === undefined) === (self.keySecretRef === undefined),
  }),
  urlRule('spec.nats.servers[*]'),
  rule<NonNullable<Nats['managed']>>({
    path: 'spec.nats.managed',
    field: 'replicas',
    reads: ['replicas'],
    rule: 'self.replicas % 2 == 1',
    message: 'must be 1, 3 or 5, is {replicas}',
    check: (self) => self.replicas % 2 === 1,
  }),
  rule({
    path: 'spec.nats.managed',
    rule: 'self.replicas == oldSelf.replicas || (oldSelf.replicas > 1 && self.replicas > oldSelf.replicas)',
    message: 'can only be increased, and not from 1: a single server cannot hand its messages over to a cluster',
  }),
  rule({
    path: 'spec.nats.managed',
    rule: 'self.storage == oldSelf.storage',
    message: 'must keep its storage; for more, create another group and move its members there',
  }),
  rule<Nats>({
    path: 'spec.nats',
    field: 'managed',
    reads: [],
    rule: '!has(self.managed) || !(has(self.credentialsSecretRef) || has(self.tls))',
    message: 'cannot be combined with credentialsSecretRef or tls; use tokenSecretRef',
    check: ({ managed, credentialsSecretRef, tls }) => !managed || !(credentialsSecretRef || tls),
  }),
  rule<HydrogenGroupSpec>({
    path: 'spec',
    field: 'stream.replicas',
    reads: ['stream.replicas', 'nats.managed'],
    rule: '!has(self.nats.managed) || self.stream.replicas <= self.nats.managed.replicas',
    message: 'must not exceed nats.managed.replicas ({nats.managed.replicas}), is {stream.replicas}',
    check: ({ nats, stream }) => !nats.managed || stream.replicas <= nats.managed.replicas,
  }),
  rule<HydrogenGroupSpec>({
    path: 'spec',
    field: 'nats.managed.storage.size',
    reads: ['nats.managed', 'stream.maxBytes', 'deadLetter.maxBytes'],
    // Both sides doubled, because CEL can add quantities and not multiply them.
    rule:
      '!has(self.nats.managed) || quantity(string(self.stream.maxBytes))' +
      '.add(quantity(string(self.stream.maxBytes))).add(quantity(string(self.stream.maxBytes)))' +
      '.add(quantity(string(self.deadLetter.maxBytes))).add(quantity(string(self.deadLetter.maxBytes)))' +
      '.compareTo(quantity(string(self.nats.managed.storage.size)).add(quantity(string(self.nats.managed.storage.size)))) <= 0',
    message:
      'must hold one and a half times stream.maxBytes ({stream.maxBytes}) and deadLetter.maxBytes ' +
      '({deadLetter.maxBytes}), is {nats.managed.storage.size}',
    check: ({ nats, stream, deadLetter }) =>
      !nats.managed ||
      3 * parseQuantity(stream.maxBytes) + 2 * parseQuantity(deadLetter.maxBytes) <=
        2 * parseQuantity(nats.managed.storage.size),
  }),
  rule<HydrogenGroupSpec>({
    path: 'spec',
    field: 'stream.replicas',
    reads: ['stream.replicas'],
    rule: 'self.stream.replicas % 2 == 1',
    message: 'must be 1, 3 or 5, is {stream.replicas}',
    check: (self) => self.stream.replicas % 2 === 1,
  }),
  rule({
    path: 'spec',
    field: 'stream.storage',
    rule: 'self.stream.storage == oldSelf.stream.storage',
    message: 'cannot be changed, because NATS cannot move a stream; delete the group and its streams first',
  }),
  ...(['stream', 'deadLetter'] as const).map((name) =>
    rule<HydrogenGroupSpec>({
      path: 'spec',
      field: `${name}.maxBytes`,
      reads: [`${name}.maxBytes`],
      // Fractions of a byte are rounded up.
      rule: `quantity(string(self.${name}.maxBytes)).compareTo(quantity('1023')) > 0`,
      message: `must be at least 1Ki, is {${name}.maxBytes}`,
      check: (self) => parseQuantity(self[name].maxBytes) >= 1024,
    }),
  ),
];
