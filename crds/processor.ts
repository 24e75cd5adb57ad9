/** HydrogenMessageProcessor: which service receives which message, and how delivery is retried. */
import { Type } from 'typebox';

import { egress, egressRules } from './egress.ts';
import { endpointPathRule } from './endpoint.ts';
import { groupRef, groupRefRules, httpCallFields, httpCallRules, paused, statsIntervalSeconds } from './fragments.ts';
import { hostPatternRule } from './host-pattern.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Flag, FreeText, Integer, List, ListMap, ListSet, StringEnum, Text, withDefault } from './schema.ts';
import { patternCostRule, textPatternRule } from './text-pattern.ts';
import type { HydrogenMessageProcessorSpec } from './types/processor.ts';
import { autoscaling, replicas, template, workloadRules } from './workload.ts';

/** The kind's name. */
export const processorKind = 'HydrogenMessageProcessor';

const reply = withDefault(
  Flag({
    description: 'Whether the body of a 2xx answer is sent back to the client, unless it is empty. Default false.',
  }),
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
        'Regular expression (RE2 syntax, without look-around or back-references) that matches anywhere in the message; ' +
        'use ^ and $ to match all of it. All patterns of a processor together may have 2000 instructions of RE2: about one ' +
        'for each character or class, times its repetitions.',
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
        'Hosts that the rules engine may choose: a name, or *. and a domain for all names below it, each with an optional ' +
        ':port. A name with *. does not cover the API server or the management API of a gateway. A message for any other ' +
        'host becomes a dead letter.',
      minItems: 1,
      maxItems: 64,
    }),
    reply,
    destinationTimeoutSeconds: withDefault(
      Integer(1, 3600, {
        description:
          'Seconds after which a call to the chosen destination fails unless it has been answered completely. Default 10.',
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
        description:
          'Rules, tried in order; the first one that matches is used. Exactly one of rules and rulesEngine is set.',
        minItems: 1,
        maxItems: 256,
      }),
    ),
    rulesEngine: Type.Optional(rulesEngine),
    unmatched: withDefault(
      StringEnum(['DeadLetter', 'Drop'], {
        description: 'What to do with a message that no rule matches; Drop logs and counts it. Default DeadLetter.',
      }),
      'DeadLetter',
    ),
  },
  { description: 'How the destination of a message is chosen.' },
);

const delivery = Fields(
  {
    maxAttempts: withDefault(
      Integer(1, 100, {
        description: 'Number of failed attempts after which a message becomes a dead letter. Default 8.',
      }),
      8,
    ),
    ackTimeoutSeconds: withDefault(
      Integer(2, 3600, {
        description:
          'With ordering Unordered: seconds after which another pod takes over the messages of a pod that has stopped ' +
          'responding. Waiting for a slow destination does not count. Default 30.',
      }),
      30,
    ),
    takeoverSeconds: withDefault(
      Integer(2, 300, {
        description:
          'With ordering PerConnection: seconds after which other pods take over the connections of a pod that has stopped ' +
          'responding or was killed. Default 5.',
      }),
      5,
    ),
    backoffSeconds: withDefault(
      List(Integer(0, 3600, { description: 'Seconds.' }), {
        description:
          'Seconds to wait after the first, second, ... failed attempt; the last entry repeats. A Retry-After header ' +
          'from the destination takes precedence. Default [1, 2, 5, 10, 30, 60].',
        minItems: 1,
        maxItems: 16,
      }),
      [1, 2, 5, 10, 30, 60],
    ),
    maxInFlight: withDefault(
      Integer(1, 4096, {
        description: 'Maximum number of messages that one pod delivers at the same time. Default 256.',
      }),
      256,
    ),
    maxInFlightPerDestination: Type.Optional(
      Integer(1, 4096, {
        description:
          'Maximum number of messages that one pod delivers to one destination (a rule, or the host that a rules engine ' +
          'names) at the same time, so that one which does not answer leaves room for the others. Absent: half of ' +
          'maxInFlight, or all of it if there is only one rule.',
      }),
    ),
    maxWaitSeconds: withDefault(
      Integer(1, 604800, {
        description:
          'Seconds after which a message that could not be delivered becomes a dead letter, even if it has attempts left. ' +
          'At most 90 % of the maxAgeSeconds of the stream are used. Default 3600.',
      }),
      3600,
    ),
    ordering: withDefault(
      StringEnum(['Unordered', 'PerConnection'], {
        description:
          'With PerConnection, a message is delivered only when the one before it from the same connection is done: in ' +
          'order, even through retries and crashes. Default Unordered.',
      }),
      'Unordered',
    ),
    partitions: withDefault(
      Integer(1, 256, {
        description:
          'With ordering PerConnection: number of lanes that the connections are divided into. A lane belongs to one pod ' +
          'at a time, so there can be no more pods at work than lanes. With more than 16, each message is stored by itself, ' +
          'which costs far more. Must be a divisor of 256. ' +
          'Default 16.',
      }),
      16,
    ),
  },
  { description: 'How messages are delivered and retried.' },
);

/** Schema of `spec`. */
export const processorSpec = Fields(
  {
    paused,
    groupRef,
    endpoints: Type.Optional(
      ListSet(Text('endpointPath'), {
        description: 'Paths of the endpoints whose messages are processed. Absent: all endpoints of the group.',
        minItems: 1,
        maxItems: 64,
      }),
    ),
    routing,
    delivery: withDefault(delivery, {}),
    statsIntervalSeconds,
    replicas,
    autoscaling,
    egress,
    template,
  },
  { description: 'Specification of the message processor.' },
);

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
  textPatternRule('spec.routing.rules[*].pattern'),
  patternCostRule('spec.routing.rules'),
  ...httpCallRules('spec.routing.rulesEngine'),
  hostPatternRule('spec.routing.rulesEngine.allowedHosts[*]'),
  rule<HydrogenMessageProcessorSpec>({
    path: 'spec',
    field: 'delivery.partitions',
    reads: ['delivery.partitions'],
    rule: '256 % self.delivery.partitions == 0',
    message: 'must be a divisor of 256 (1, 2, 4, ... 256), is {delivery.partitions}',
    check: ({ delivery }) => 256 % delivery.partitions === 0,
  }),
  ...egressRules,
  ...workloadRules,
];
