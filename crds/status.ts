/**
 * The status of an object: written by the operator alone and never read by `parse`. The schemas here feed the CRDs and
 * the operator's types.
 */
import { type Static, type TInteger, type TString, Type } from 'typebox';

import type { DeepReadonly } from './infer.ts';
import { Fields, FreeText, Integer, ListMap, ListSet, Pattern, StringEnum, Timestamp } from './schema.ts';

const conditionType = Pattern(
  '^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$',
  316,
  { description: 'Type of the condition, such as Ready.' },
);
const conditionReason = Pattern('^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$', 1024, {
  description: 'Reason for the status in one word, such as GroupNotFound; never empty.',
});

const count = (description: string): TInteger => Integer(0, Number.MAX_SAFE_INTEGER, { description });

/** A condition in the shape of metav1.Condition. */
const condition = Fields(
  {
    type: conditionType,
    status: StringEnum(['True', 'False', 'Unknown'], { description: 'Whether the condition holds.' }),
    reason: conditionReason,
    message: FreeText(32768, { description: 'Explanation for people, and what to do about it.' }),
    lastTransitionTime: Timestamp({ description: 'When the status last changed.' }),
    observedGeneration: Type.Optional(count('The metadata.generation that the condition was set for.')),
  },
  { description: 'One condition.' },
);

const common = {
  observedGeneration: Type.Optional(count('The metadata.generation that the operator has last processed.')),
  conditions: Type.Optional(
    ListMap(['type'], condition, {
      description: 'Conditions of the object. Ready summarizes the others.',
      maxItems: 32,
    }),
  ),
};

const url = (description: string): TString => FreeText(2048, { description });

const workload = {
  replicas: Type.Optional(count('Number of existing pods.')),
  readyReplicas: Type.Optional(count('Number of ready pods.')),
  availableReplicas: Type.Optional(count('Number of available pods.')),
  updatedReplicas: Type.Optional(count('Number of pods with the current specification.')),
  selector: Type.Optional(
    FreeText(4096, { description: 'Label selector of the pods as text, for autoscalers and kubectl scale.' }),
  ),
};

/** Schema of a group's `status`. */
export const groupStatus = Fields(
  {
    ...common,
    gateways: Type.Optional(count('Number of gateways of the group.')),
    processors: Type.Optional(count('Number of message processors of the group.')),
  },
  { description: 'Observed state of the group.' },
);

/** Schema of a gateway's `status`. */
export const gatewayStatus = Fields(
  {
    ...common,
    ...workload,
    endpoints: Type.Optional(
      ListSet(url('One URL.'), {
        description:
          'URLs that clients can connect to: by the hosts of the ingress or route and the addresses of the load balancer, ' +
          'or inside the cluster if there are none.',
        maxItems: 2048,
      }),
    ),
    url: Type.Optional(url('Base URL of the management API in the cluster.')),
  },
  { description: 'Observed state of the gateway.' },
);

/** Schema of a message processor's `status`. */
export const processorStatus = Fields(
  {
    ...common,
    ...workload,
    lag: Type.Optional(
      Fields(
        {
          pendingMessages: count(
            'Number of messages that have not been delivered to any pod yet, or that are in waiting rooms. For messages that ' +
              'are stored together in entries it is estimated, from how many the entries held that pods have read lately.',
          ),
          unacknowledgedMessages: count(
            'Number of messages that have been delivered to pods but not acknowledged yet, estimated for entries.',
          ),
          observedTime: Timestamp({ description: 'When these numbers were observed.' }),
        },
        { description: 'The messages that the processor has not consumed yet.' },
      ),
    ),
  },
  { description: 'Observed state of the message processor.' },
);

/** One condition of a status. */
export type Condition = DeepReadonly<Static<typeof condition>>;
/** Observed state of a message processor. */
export type HydrogenMessageProcessorStatus = DeepReadonly<Static<typeof processorStatus>>;
