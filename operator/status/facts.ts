/** What is known of an object, from which its conditions are made. */
import type { ReasonOf } from '../../crds/conditions.ts';
import type { Condition, DocumentIssue, Kind } from '../../crds/index.ts';

/** Why the wanted children are not all there. */
export type ApplyProblem =
  | { readonly reason: 'NameConflict'; readonly objects: readonly string[] }
  | { readonly reason: 'WaitingForRemoval'; readonly objects: readonly string[] }
  | { readonly reason: 'ApplyRefused'; readonly message: string }
  | { readonly reason: 'ApplyForbidden'; readonly message: string };

/** The workload as the cluster reports it. */
export interface Workload {
  /** `Deployment/chat-gateway`. */
  readonly object: string;
  readonly desired: number;
  readonly existing: number;
  readonly updated: number;
  readonly available: number;
  readonly ready: number;
  /** Whether the controller of the workload has seen its present specification. */
  readonly isObserved: boolean;
  readonly isStuck: boolean;
}

/** What is known of the group of a gateway or message processor. */
export type GroupFacts =
  | { readonly state: 'missing' }
  | { readonly state: 'ready' }
  | { readonly state: 'notReady'; readonly message: string }
  | { readonly state: 'consumersRefused'; readonly message: string };

/** What is known of the bus of a group. */
export type BusFacts =
  | { readonly state: 'up' }
  | { readonly state: 'connecting' }
  /** A connection is being made; what was found before it still counts. */
  | { readonly state: 'asBefore'; readonly condition: Condition }
  /** `paused`: the streams are not as they should be, and nothing is done about it. */
  | { readonly state: 'down' | 'refused' | 'conflict' | 'unchecked' | 'paused'; readonly message: string };

/** Everything that the conditions of an object are made from. */
export interface Facts {
  readonly kind: Kind;
  readonly name: string;
  readonly generation: number;
  readonly issues?: readonly Pick<DocumentIssue, 'path' | 'message'>[];
  readonly pausedBy?: 'object' | 'group' | undefined;
  /** Children that would be created or changed if it were not paused, as `Deployment/chat-gateway`. */
  readonly unapplied?: readonly string[];
  /** What is wrong with the secrets that it names, a sentence each. */
  readonly missingSecrets?: readonly string[];
  readonly problem?: ApplyProblem | undefined;
  /** For gateways and message processors. */
  readonly groupName?: string | undefined;
  readonly group?: GroupFacts;
  /** For groups. */
  readonly bus?: BusFacts;
  /** Undefined: there is none yet. */
  readonly workload?: Workload | undefined;
  /** The image that pods keep until it is their turn to become what this release makes of them. */
  readonly heldImage?: string;
  /** Whether the object has a workload at all: a group with NATS of the user's has none. */
  readonly hasWorkload: boolean;
  readonly deleting?: { readonly reason: ReasonOf<'Deleting'>; readonly message: string };
}
