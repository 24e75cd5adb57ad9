/**
 * Every condition type and reason in one place, with its status, its meaning, and whether work is in progress. The
 * operator's findings, `hydrogen describe`, Argo CD's health check and the tables in docs/operator.md are derived from it.
 */
import type { Condition } from './status.ts';

/** The status of a condition. */
export type ConditionStatus = Condition['status'];

/**
 * `stalled`: nothing happens until somebody steps in. `atWork`: the operator or the cluster is working, or waiting for
 * another object. `atRest`: nothing happens, and nothing needs to.
 */
export type Progress = 'stalled' | 'atWork' | 'atRest';

/** One reason of one aspect. */
export interface ReasonDefinition {
  readonly status: ConditionStatus;
  readonly progress: Progress;
  /** Its meaning and what to do, for the documentation. */
  readonly meaning: string;
  /** False: nothing is known, which does not keep the object from being Ready. @default - as its aspect */
  readonly decidesReady?: false;
}

/** The healths that Argo CD knows, the most important one first. */
const argoHealths = ['Suspended', 'Degraded', 'Progressing', 'Healthy'] as const;

interface ConditionDefinition {
  /** The status while nothing is wrong. */
  readonly good: Exclude<ConditionStatus, 'Unknown'>;
  /** What it means while it is True, for the documentation. */
  readonly meaning: string;
  /** The health of the object in Argo CD while it is True, unless another condition gives a more important one. */
  readonly health?: (typeof argoHealths)[number];
}

interface AspectDefinition extends ConditionDefinition {
  /** Whether the object is Ready only while this is good. */
  readonly decidesReady: boolean;
  readonly reasons: Readonly<Record<string, ReasonDefinition>>;
}

/** The conditions that summarize the others; each has the reason of the aspect that decides it. */
export const summaries = {
  Ready: { good: 'True', meaning: 'every condition that it depends on has its good status', health: 'Healthy' },
  Reconciling: {
    good: 'False',
    meaning: 'the operator or the cluster is at work; absent otherwise',
    health: 'Progressing',
  },
  Stalled: { good: 'False', meaning: 'nothing happens until somebody steps in; absent otherwise', health: 'Degraded' },
} as const satisfies Record<string, ConditionDefinition>;

/** The conditions about a single aspect, each with every reason that it can have. */
export const aspects = {
  Accepted: {
    good: 'True',
    meaning: 'the specification is valid and applied',
    decidesReady: true,
    reasons: {
      Accepted: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      InvalidSpec: { status: 'False', progress: 'stalled', meaning: 'correct the fields that the message lists' },
      GroupNotFound: {
        status: 'False',
        progress: 'atWork',
        meaning: 'create or correct the group, or correct `spec.groupRef.name`',
      },
      SecretNotFound: {
        status: 'False',
        progress: 'atWork',
        meaning: 'create the secret, or add the key, that the message names; the operator notices at once',
      },
      NameConflict: {
        status: 'False',
        progress: 'stalled',
        meaning: 'delete the object that the message names, or choose another name; checked again every minute',
      },
      Orphaned: {
        status: 'False',
        progress: 'stalled',
        meaning:
          'children of an earlier object of this name were left behind by `--cascade=orphan`: set the annotation in the ' +
          'message to take them over, or delete them',
      },
      WaitingForRemoval: {
        status: 'False',
        progress: 'atWork',
        meaning: 'nothing to do: children of an earlier object of this name are still being removed',
      },
      ApplyRefused: {
        status: 'False',
        progress: 'stalled',
        meaning: 'correct what the API server refuses, or lift what forbids it: a quota, a policy, a webhook',
      },
      KindMissing: {
        status: 'False',
        progress: 'stalled',
        meaning: 'install the Gateway API, which defines HTTPRoute, or use `spec.ingress`',
      },
      ApplyForbidden: { status: 'False', progress: 'stalled', meaning: 'grant the right that the message names' },
      ApplyFailing: {
        status: 'False',
        progress: 'atWork',
        meaning:
          'repair what the message names, for example an admission webhook that does not answer; the operator keeps trying',
      },
      Paused: {
        status: 'Unknown',
        progress: 'atRest',
        meaning:
          'the children differ from the specification; setting `spec.paused` to false creates, changes or deletes those ' +
          'that the message lists',
      },
    },
  },
  GroupReady: {
    good: 'True',
    meaning: "the group of the gateway or message processor is Ready, and NATS has the processor's consumers",
    decidesReady: true,
    reasons: {
      GroupReady: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      GroupNotReady: { status: 'False', progress: 'atWork', meaning: 'see the conditions of the group' },
      GroupNotFound: { status: 'False', progress: 'atWork', meaning: 'see `Accepted`' },
      ConsumersRefused: {
        status: 'False',
        progress: 'stalled',
        meaning: 'check NATS, for example the consumer limits of its account',
      },
    },
  },
  BusReachable: {
    good: 'True',
    meaning: 'NATS is connected and has the streams of the group',
    decidesReady: true,
    reasons: {
      BusReachable: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      Connecting: { status: 'Unknown', progress: 'atWork', meaning: 'nothing to do' },
      BusUnreachable: {
        status: 'False',
        progress: 'atWork',
        meaning: 'check `spec.nats`, the servers and the secrets',
      },
      StreamRefused: {
        status: 'False',
        progress: 'stalled',
        meaning: 'enable JetStream, or raise the limits of the account',
      },
      StreamConflict: {
        status: 'False',
        progress: 'stalled',
        meaning:
          'a stream exists with other settings that cannot be changed: specify those, or delete the stream; or the account ' +
          'has no room for the stream of waiting rooms: raise its limits',
      },
      SecretNotReadable: {
        status: 'Unknown',
        progress: 'atRest',
        meaning: 'grant the operator `get` on the secret that the message names',
      },
      Paused: {
        status: 'Unknown',
        progress: 'atRest',
        meaning: 'streams are missing or differ, as the message says; set `spec.paused` to false',
      },
    },
  },
  Available: {
    good: 'True',
    meaning: 'enough pods are available',
    decidesReady: true,
    reasons: {
      Available: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      NotCreated: { status: 'False', progress: 'atWork', meaning: 'see `Accepted`' },
      PodsNotReady: {
        status: 'False',
        progress: 'atWork',
        meaning: 'run the `kubectl describe pods` command in the message: the events say what the pods are waiting for',
      },
      PodsRefused: {
        status: 'False',
        progress: 'stalled',
        meaning:
          "the cluster refuses to create pods, with the message's words: correct `spec.template`, or raise the quota",
      },
      ScaledToZero: { status: 'False', progress: 'atRest', meaning: 'set `spec.replicas`' },
    },
  },
  RollingOut: {
    good: 'False',
    meaning: 'pods of an earlier specification are being replaced',
    health: 'Progressing',
    decidesReady: true,
    reasons: {
      RolledOut: { status: 'False', progress: 'atRest', meaning: 'nothing to do' },
      NotCreated: { status: 'False', progress: 'atWork', meaning: 'see `Accepted`' },
      PodsUpdating: { status: 'True', progress: 'atWork', meaning: 'nothing to do' },
      RolloutStuck: {
        status: 'True',
        progress: 'stalled',
        meaning:
          'run the `kubectl describe pods` command in the message: the events say what the new pods are waiting for',
      },
      PodsRefused: {
        status: 'True',
        progress: 'stalled',
        meaning:
          "the cluster refuses to create pods, with the message's words: correct `spec.template`, or raise the quota",
      },
      RolloutWaiting: {
        status: 'False',
        progress: 'atRest',
        meaning:
          "nothing to do: the workload is waiting for its turn to get this release's image; see [rollouts](#rollouts)",
      },
    },
  },
  Configured: {
    good: 'True',
    meaning: 'every pod of a gateway or message processor says that it runs the configuration that was applied last',
    decidesReady: true,
    reasons: {
      Configured: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      PodsConfiguring: {
        status: 'False',
        progress: 'atWork',
        meaning:
          'nothing to do: a changed ConfigMap reaches pods within about a minute; if it stays so, the log of the pods says ' +
          'what they took over, and the events of the pods why the kubelet brings nothing',
      },
      ConfigurationRefused: {
        status: 'False',
        progress: 'stalled',
        meaning:
          'pods run an earlier configuration, and the message has the words of one: correct the specification; if pods of ' +
          'an earlier release do not know a new field, let them be replaced first, see [rollouts](#rollouts)',
      },
      PodsSilent: {
        status: 'Unknown',
        progress: 'atWork',
        meaning:
          'nothing to do: a pod that has just started, or was cut off from NATS, answers once it is connected; if it stays ' +
          'so, see the log of the pods',
      },
      NotReported: {
        status: 'Unknown',
        progress: 'atRest',
        decidesReady: false,
        meaning:
          'pods of an earlier release do not say what they run, and become known once they are replaced; otherwise allow ' +
          'pods and operator to publish to `hydrogen.<group>.reports` and `hydrogen.<group>.reports.wanted`',
      },
    },
  },
  Delivering: {
    good: 'True',
    meaning:
      'no messages of a message processor have waited for one of its destinations for half a minute; otherwise the message ' +
      'has their number, and as far as pods say of when the oldest is and since when the destination has been failing',
    decidesReady: false,
    reasons: {
      Delivering: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      MessagesWaiting: {
        status: 'False',
        progress: 'atRest',
        meaning:
          'repair the destinations of the rules that the message names: they fail, or are too slow; other destinations are ' +
          'not affected, and the waiting messages follow by themselves',
      },
      Unknown: { status: 'Unknown', progress: 'atRest', meaning: 'nothing to do: NATS has not been queried yet' },
    },
  },
  EndpointsMatched: {
    good: 'True',
    meaning:
      'a message processor takes the messages of every endpoint of a bidirectional gateway, and a gateway serves every ' +
      'endpoint of a message processor',
    decidesReady: false,
    reasons: {
      EndpointsMatched: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      ProcessorMissing: {
        status: 'False',
        progress: 'atRest',
        meaning:
          'add the endpoints that the message lists to `spec.endpoints` of a message processor, or create one: until then ' +
          'clients that connect there get 503',
      },
      GatewayMissing: {
        status: 'False',
        progress: 'atRest',
        meaning: 'correct `spec.endpoints`, or add the endpoints that the message lists to a gateway of the group',
      },
    },
  },
  Scaling: {
    good: 'True',
    meaning: 'the autoscaler of the pods can do its work; absent without an autoscaler',
    decidesReady: false,
    reasons: {
      Scaling: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      ScalingFailed: {
        status: 'False',
        progress: 'atRest',
        meaning:
          'repair what the message says, which is that of the autoscaler; most often the cluster has no metrics server',
      },
    },
  },
  ManagementProtected: {
    good: 'True',
    meaning: 'callers of the management API of the gateway need a token',
    decidesReady: false,
    reasons: {
      ManagementProtected: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      NoToken: {
        status: 'False',
        progress: 'atRest',
        meaning:
          'set `spec.management.tokens` or `spec.management.tokenSecretRef`: until then every pod that reaches port 8081 can ' +
          'send and disconnect',
      },
    },
  },
  ClientAddressesKnown: {
    good: 'True',
    meaning:
      'the gateway trusts the proxies in front of it to say where clients are; absent without `spec.ingress` and ' +
      '`spec.httpRoute`',
    decidesReady: false,
    reasons: {
      ClientAddressesKnown: { status: 'True', progress: 'atRest', meaning: 'nothing to do' },
      NoTrustedProxies: {
        status: 'False',
        progress: 'atRest',
        meaning:
          'set `spec.trustedProxies`: until then the authorizer, the log and the limits per address see the address of the ' +
          'proxy; see [Behind a proxy](proxies.md)',
      },
    },
  },
  Paused: {
    good: 'False',
    meaning: 'the operator changes nothing',
    health: 'Suspended',
    decidesReady: false,
    reasons: {
      NotPaused: { status: 'False', progress: 'atRest', meaning: 'nothing to do' },
      Paused: { status: 'True', progress: 'atRest', meaning: 'set `spec.paused` to false' },
      GroupPaused: { status: 'True', progress: 'atRest', meaning: 'set `spec.paused` of the group to false' },
    },
  },
  Deleting: {
    good: 'False',
    meaning: 'the object is being deleted, and waits for what the message says',
    decidesReady: true,
    reasons: {
      WaitingForMembers: {
        status: 'True',
        progress: 'atWork',
        meaning: 'delete the members that the message lists',
      },
      RemovingConsumers: {
        status: 'True',
        progress: 'atWork',
        meaning: 'nothing to do, unless the message reports a problem with NATS; the finalizer may be removed by hand',
      },
      RemovingStreams: {
        status: 'True',
        progress: 'atWork',
        meaning: 'solve the problem with NATS that the message reports, or set `stream.deletionPolicy` to `Retain`',
      },
      RemovalFailing: {
        status: 'True',
        progress: 'atWork',
        meaning:
          'repair what the message names, for example an admission webhook that does not answer; the operator keeps trying',
      },
    },
  },
} as const satisfies Record<string, AspectDefinition>;

/** A condition about one aspect of an object. */
export type Aspect = keyof typeof aspects;
/** A condition that summarizes the others. */
export type Summary = keyof typeof summaries;
/** The reasons that an aspect can have. */
export type ReasonOf<A extends Aspect> = keyof (typeof aspects)[A]['reasons'] & string;
/** Any condition of ours. */
export type ConditionType = Aspect | Summary;

/** Every condition type, the summaries first. */
export const conditionTypes: readonly ConditionType[] = [
  ...(Object.keys(summaries) as Summary[]),
  ...(Object.keys(aspects) as Aspect[]),
];

/** The conditions that give an object its health in Argo CD while they are True, the most important one first. */
export function conditionsWithHealth(): readonly (readonly [type: ConditionType, health: string])[] {
  const known: Readonly<Record<ConditionType, ConditionDefinition>> = { ...summaries, ...aspects };
  return argoHealths.flatMap((health) =>
    conditionTypes.filter((type) => known[type].health === health).map((type) => [type, health] as const),
  );
}

/** The table's entry for a reason. */
export function reasonDefinition<A extends Aspect>(type: A, reason: ReasonOf<A>): ReasonDefinition {
  const reasons: Readonly<Record<string, ReasonDefinition>> = aspects[type].reasons;
  return reasons[reason] as ReasonDefinition; // its type says that it exists
}

/** True for a reason that an aspect can have; a stored condition may have been written by another release. */
export function isReasonOf<A extends Aspect>(type: A, reason: string): reason is ReasonOf<A> {
  return Object.hasOwn(aspects[type].reasons, reason);
}

/** True if the status means that nothing is wrong. Condition types that are not ours are good while they are True. */
export function isGood({ type, status }: { readonly type: string; readonly status: ConditionStatus }): boolean {
  const known: Readonly<Record<string, ConditionDefinition | undefined>> = { ...summaries, ...aspects };
  return status === (known[type]?.good ?? 'True');
}
