/** Facts: everything observed about an object, from which its conditions are derived. */
import type { ReasonOf } from '../../crds/conditions.ts';
import type { Condition, DocumentIssue, Kind } from '../../crds/index.ts';
import type { PodReport } from '../../runtime/bus/port/reports.ts';

/** Why some wanted children are missing. */
export type ApplyProblem =
  | { readonly reason: 'NameConflict' | 'Orphaned'; readonly objects: readonly string[] }
  | { readonly reason: 'WaitingForRemoval'; readonly objects: readonly string[] }
  | { readonly reason: 'KindMissing'; readonly kind: string; readonly message: string }
  | { readonly reason: 'ApplyRefused' | 'ApplyForbidden' | 'ApplyFailing'; readonly message: string };

/** The workload as the cluster reports it. */
export interface Workload {
  /** `Deployment/chat-gateway`. */
  readonly object: string;
  readonly desired: number;
  readonly existing: number;
  readonly updated: number;
  readonly available: number;
  readonly ready: number;
  /** Whether the workload's controller has observed its current specification. */
  readonly isObserved: boolean;
  readonly isStuck: boolean;
  /** Why the cluster does not create pods; undefined: it does, or it does not say. */
  readonly refusal?: string | undefined;
}

/** The state of the group of a gateway or message processor. */
export type GroupFacts =
  | { readonly state: 'missing' }
  | { readonly state: 'ready' }
  | { readonly state: 'notReady'; readonly message: string }
  | { readonly state: 'consumersRefused'; readonly message: string };

/** The state of a group's bus. */
export type BusFacts =
  | { readonly state: 'up' }
  | { readonly state: 'connecting' }
  /** The operator is connecting, and the previous condition still counts. */
  | { readonly state: 'asBefore'; readonly condition: Condition }
  /** `paused`: the streams differ from the specification and are left alone. */
  | { readonly state: 'down' | 'refused' | 'conflict' | 'unchecked' | 'paused'; readonly message: string };

/** Endpoints without a counterpart in the group: of a gateway without a message processor, or the reverse. */
export interface EndpointFacts {
  readonly counterpart: 'processor' | 'gateway';
  /** `all`: a message processor takes every endpoint, and there is none. */
  readonly missing: readonly string[] | 'all';
}

/** What waits for one destination. Times are milliseconds since the epoch. */
export interface WaitingMessages {
  readonly messages: number;
  /** When the oldest message was stored that has waited in a pod for half a minute, as far as pods say. */
  readonly oldestMs?: number | undefined;
  /** Since when the destination has failed, as far as pods say. */
  readonly failingSinceMs?: number | undefined;
}

/** What waits for the destinations of a message processor. */
export type BacklogFacts =
  /** Messages that have waited for some time, by waiting room. */
  | { readonly state: 'known'; readonly waiting: ReadonlyMap<string, WaitingMessages> }
  /** NATS has not been queried yet, and the previous condition, if there is one, still counts. */
  | { readonly state: 'asBefore'; readonly condition: Condition | undefined };

/** What the pods of a gateway or message processor say about their configuration. */
export type ConfigurationFacts =
  /** `wanted`: digest of the configuration that was applied last. */
  | { readonly state: 'known'; readonly wanted: string; readonly pods: readonly PodReport[] }
  /** The pods have not been asked yet, and the previous condition, if there is one, still counts. */
  | { readonly state: 'asBefore'; readonly condition: Condition | undefined };

/** Everything that the conditions of an object are derived from. */
export interface Facts {
  readonly kind: Kind;
  readonly name: string;
  readonly generation: number;
  readonly issues?: readonly Pick<DocumentIssue, 'path' | 'message'>[];
  readonly pausedBy?: 'object' | 'group' | undefined;
  /** Children that would be created, changed or deleted if the object were not paused, as `Deployment/chat-gateway`. */
  readonly unapplied?: readonly string[];
  /** One sentence for each secret or key that it refers to and that does not exist. */
  readonly missingSecrets?: readonly string[];
  readonly problem?: ApplyProblem | undefined;
  /** For gateways and message processors. */
  readonly groupName?: string | undefined;
  readonly group?: GroupFacts;
  /** For message processors, and for gateways that take messages. */
  readonly endpoints?: EndpointFacts;
  /** Undefined: no autoscaler sets the number of pods, or it has not reported yet. */
  readonly scaling?: { readonly failure: string | undefined } | undefined;
  /** For gateways and message processors that have a config map. */
  readonly configuration?: ConfigurationFacts;
  /** For gateways: whether callers of the management API need a token. */
  readonly management?: { readonly hasToken: boolean } | undefined;
  /** For gateways with an ingress or a route. */
  readonly exposure?: { readonly field: 'ingress' | 'httpRoute'; readonly hasTrustedProxies: boolean } | undefined;
  /** For message processors. */
  readonly backlog?: BacklogFacts;
  /** For groups. */
  readonly bus?: BusFacts;
  /** Undefined: it does not exist yet. */
  readonly workload?: Workload | undefined;
  /** The image that the pods keep until it is their turn to get the one of this release. */
  readonly heldImage?: string;
  /** Keys of the objects whose stuck rollouts keep it waiting. */
  readonly heldBy?: readonly string[];
  /** Whether the object should have a workload: a group with `nats.servers` has none. */
  readonly hasWorkload: boolean;
  readonly deleting?: { readonly reason: ReasonOf<'Deleting'>; readonly message: string };
}
