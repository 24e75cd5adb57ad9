/** HydrogenMessageProcessor: which service receives which message, and how hard it is tried. */
import { Type } from 'typebox';

import { endpointPathRule } from './endpoint.ts';
import { groupRef, groupRefRules, httpCallFields, httpCallRules, paused, statsIntervalSeconds } from './fragments.ts';
import type { Input, Resolved } from './infer.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Flag, FreeText, Integer, List, ListMap, ListSet, StringEnum, Text, withDefault } from './schema.ts';
import { autoscaling, replicas, template, workloadRules } from './workload.ts';

/** The kind's name. */
export const processorKind = 'HydrogenMessageProcessor';

const reply = withDefault(
  Flag({ description: 'Whether a non-empty body of a 2xx answer is sent back to the client. Default false.' }),
  false,
);

const destination = Fields(
  { ...httpCallFields(10, 3600), reply },
  { description: 'The service that receives the message.' },
);

const routingRule = Fields(
  {
    name: Text('dnsLabel', { description: 'Name of the rule, for logs and metrics.' }),
    pattern: FreeText(1024, {
      minLength: 1,
      description:
        'Regular expression (RE2 syntax, without look-around or back-references) that is searched in the message; use ' +
        '^ and $ to match all of it.',
    }),
    destination,
  },
  { description: 'One rule.' },
);

const rulesEngine = Fields(
  {
    ...httpCallFields(5, 3600),
    allowedHosts: ListSet(Text('allowedHost'), {
      description:
        'Hosts that the rules engine may choose: a name, or *. and a domain for all names below it, with an optional ' +
        ':port. A message for any other is a dead letter.',
      minItems: 1,
      maxItems: 64,
    }),
    reply,
    destinationTimeoutSeconds: withDefault(
      Integer(1, 3600, {
        description: 'Seconds until a call to the chosen destination, with its answer, counts as failed. Default 10.',
      }),
      10,
    ),
  },
  {
    description:
      'A service that is asked for the destination of each message. Exactly one of rules and rulesEngine is set.',
  },
);

const routing = Fields(
  {
    rules: Type.Optional(
      ListMap(['name'], routingRule, {
        description: 'Rules, tried in order; the first that matches wins. Exactly one of rules and rulesEngine is set.',
        minItems: 1,
        maxItems: 256,
      }),
    ),
    rulesEngine: Type.Optional(rulesEngine),
    unmatched: withDefault(
      StringEnum(['DeadLetter', 'Drop'], {
        description: 'What becomes of a message that no rule matches; Drop logs and counts it. Default DeadLetter.',
      }),
      'DeadLetter',
    ),
  },
  { description: 'How the destination of a message is found.' },
);

const delivery = Fields(
  {
    maxAttempts: withDefault(
      Integer(1, 100, { description: 'Number of deliveries after which a message becomes a dead letter. Default 8.' }),
      8,
    ),
    ackTimeoutSeconds: withDefault(
      Integer(2, 3600, {
        description:
          'Seconds after which another pod takes over the message of a pod that went silent. A slow destination does ' +
          'not count as silence. Default 30.',
      }),
      30,
    ),
    backoffSeconds: withDefault(
      List(Integer(0, 3600, { description: 'Seconds.' }), {
        description:
          'Seconds to wait after the first, second, ... failed delivery; the last entry repeats. A Retry-After header ' +
          'of the destination wins. Default [1, 2, 5, 10, 30, 60].',
        minItems: 1,
        maxItems: 16,
      }),
      [1, 2, 5, 10, 30, 60],
    ),
    maxInFlight: withDefault(
      Integer(1, 4096, { description: 'Most messages that one pod delivers at the same time. Default 256.' }),
      256,
    ),
    ordering: withDefault(
      StringEnum(['Unordered', 'PerConnection'], {
        description:
          'PerConnection delivers a message only when the one before it, of the same connection, is done: in order, ' +
          'also through retries. Default Unordered.',
      }),
      'Unordered',
    ),
    partitions: withDefault(
      Integer(1, 256, {
        description:
          'With ordering PerConnection: number of messages that all pods together deliver at the same time. A divisor of ' +
          '256. Default 64.',
      }),
      64,
    ),
  },
  { description: 'How hard a delivery is tried.' },
);

/** Schema of `spec`. */
export const processorSpec = Fields(
  {
    paused,
    groupRef,
    endpoints: Type.Optional(
      ListSet(Text('endpointPath'), {
        description: 'Paths of the endpoints whose messages it takes. Absent: all endpoints of the group.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    routing,
    delivery: withDefault(delivery, {}),
    statsIntervalSeconds,
    replicas,
    autoscaling,
    template,
  },
  { description: 'What the message processor shall be like.' },
);

/** `spec` after defaults. */
export type HydrogenMessageProcessorSpec = Resolved<typeof processorSpec>;
/** `spec` as a user writes it. */
export type HydrogenMessageProcessorSpecInput = Input<typeof processorSpec>;
/** A routing rule: the pattern that a message matches, and where it goes. */
export type Rule = NonNullable<HydrogenMessageProcessorSpec['routing']['rules']>[number];
/** A service of the user's that receives messages. */
export type Destination = Rule['destination'];
/** The service that is asked for the destination of each message. */
export type RulesEngine = NonNullable<HydrogenMessageProcessorSpec['routing']['rulesEngine']>;

/** The rules between fields. */
export const processorRules: readonly CrossFieldRule[] = [
  ...groupRefRules,
  endpointPathRule('spec.endpoints[*]'),
  rule<HydrogenMessageProcessorSpec['routing']>({
    path: 'spec.routing',
    reads: [],
    rule: 'has(self.rules) != has(self.rulesEngine)',
    message: 'must have exactly one of rules, rulesEngine',
    check: (self) => (self.rules === undefined) !== (self.rulesEngine === undefined),
  }),
  ...httpCallRules('spec.routing.rules[*].destination'),
  ...httpCallRules('spec.routing.rulesEngine'),
  rule<HydrogenMessageProcessorSpec>({
    path: 'spec',
    field: 'delivery.partitions',
    reads: ['delivery.partitions'],
    rule: '256 % self.delivery.partitions == 0',
    message: 'must be a divisor of 256 (1, 2, 4, ... 256), is {delivery.partitions}',
    check: ({ delivery }) => 256 % delivery.partitions === 0,
  }),
  ...workloadRules,
];
