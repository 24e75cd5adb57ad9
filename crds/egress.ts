/** Where the pods of a gateway or message processor may connect to: the egress of their NetworkPolicy. */
import { Type } from 'typebox';

import { cidrRule } from './cidr.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, Integer, List, ListSet, StringEnum, StringMap, Text, withDefault } from './schema.ts';

const selector = Fields(
  {
    matchLabels: withDefault(
      StringMap(Text('labelValue'), {
        description: 'Labels that it must have. Default: none, so that all match.',
        maxProperties: 16,
      }),
      {},
    ),
  },
  { description: 'Selects by labels.' },
);

const ipBlock = Fields(
  {
    cidr: Text('cidr', { description: 'A range of addresses, such as 203.0.113.0/24.' }),
    except: Type.Optional(
      ListSet(Text('cidr'), {
        description:
          'Parts of the range that are not allowed, such as 169.254.169.254/32, the metadata service of many clouds.',
        minItems: 1,
        maxItems: 8,
      }),
    ),
  },
  { description: 'A range of addresses outside of the cluster.' },
);

const peer = Fields(
  {
    ipBlock: Type.Optional(ipBlock),
    namespaceSelector: Type.Optional(selector),
    podSelector: Type.Optional(selector),
  },
  {
    description:
      'Either ipBlock, or one or both selectors: pods that match podSelector in namespaces that match namespaceSelector. ' +
      'Without namespaceSelector: in the namespace of this object. Without podSelector: all pods.',
  },
);

const port = Fields(
  {
    port: Integer(1, 65535, { description: 'Port of the pod, not of a service in front of it.' }),
    protocol: withDefault(StringEnum(['TCP', 'UDP'], { description: 'Protocol. Default TCP.' }), 'TCP'),
  },
  { description: 'One port.' },
);

const allowed = Fields(
  {
    to: List(peer, { description: 'Where connections may go.', minItems: 1, maxItems: 16 }),
    ports: Type.Optional(
      List(port, { description: 'To which ports. Absent: to every port.', minItems: 1, maxItems: 16 }),
    ),
  },
  { description: 'Connections that are allowed.' },
);

/** The field `egress`. */
export const egress = Type.Optional(
  Fields(
    {
      allow: withDefault(
        List(allowed, {
          description:
            'What else is allowed: NATS servers in nats.servers of the group, authorizer, hooks, destinations, rules engine, ' +
            'key sets of issuers. A NetworkPolicy knows no host names. Default: none.',
          maxItems: 16,
        }),
        [],
      ),
    },
    {
      description:
        'Limits where the pods may connect to, with the NetworkPolicy that they have: to DNS (port 53), to the NATS servers of a ' +
        'group with nats.managed, and to what is allowed here. It has an effect only if the network plugin of the cluster ' +
        'enforces network policies. Absent: to anywhere.',
    },
  ),
);

/** The rules for it. */
export const egressRules: readonly CrossFieldRule[] = [
  rule<{ ipBlock?: unknown; namespaceSelector?: unknown; podSelector?: unknown }>({
    path: 'spec.egress.allow[*].to[*]',
    reads: [],
    rule: 'has(self.ipBlock) != (has(self.namespaceSelector) || has(self.podSelector))',
    message: 'must have either ipBlock, or namespaceSelector, podSelector or both',
    check: ({ ipBlock, namespaceSelector, podSelector }) =>
      (ipBlock === undefined) !== (namespaceSelector === undefined && podSelector === undefined),
  }),
  cidrRule('spec.egress.allow[*].to[*].ipBlock.cidr'),
  cidrRule('spec.egress.allow[*].to[*].ipBlock.except[*]'),
];
