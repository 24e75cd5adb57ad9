/** What the phases of one reconciliation share: the object, the tools to act with, and what they have found so far. */
import type { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor, SecretKeyRef } from '../../crds/index.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import type { SecretIndex } from '../cache/secrets.ts';
import type { Store } from '../cache/store.ts';
import type { Applier } from '../children/apply.ts';
import type { Children } from '../children/children.ts';
import type { Rollouts } from '../children/rollouts.ts';
import type { Kube } from '../kube/client.ts';
import { groupKey, groupNameOf, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { OperatorLog } from '../log.ts';
import type { Buses } from '../nats/buses.ts';
import { type Outcome, soonest } from '../queue.ts';
import type { Facts } from '../status/facts.ts';
import type { Document } from '../status/reporter.ts';
import { groupIn, type Issues, parseObject } from './parse.ts';

/** The tools that phases act with. */
export interface Tools {
  readonly kube: Pick<Kube, 'apply' | 'merge' | 'get'>;
  readonly store: Store;
  readonly secrets: SecretIndex;
  readonly applier: Applier;
  readonly children: Children;
  readonly rollouts: Rollouts;
  readonly buses: Buses;
  readonly log: OperatorLog;
  /** Image of pods whose document specifies none. @default - that of this release */
  readonly image?: string | undefined;
  /** Image of managed NATS servers. @default - that of this release */
  readonly natsImage?: string | undefined;
}

/** How a phase ends a reconciliation: `report` skips the remaining phases, `released` also skips the report. */
export type End = 'report' | 'released';

/** One step of a reconciliation; undefined: the next one follows. @throws {ApiError} when it is worth retrying */
export type Phase<S> = (scope: S, tools: Tools) => End | undefined | Promise<End | undefined>;

abstract class Scope<D extends Document> {
  readonly object: KubeObject;
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  /** Undefined: the object is invalid, as `issues` say. */
  readonly document: D | undefined;
  readonly issues: Issues | undefined;
  /** The secrets that it refers to. */
  abstract readonly secretRefs: readonly SecretKeyRef[];
  /** What pauses it: the object itself or its group. */
  abstract readonly pausedBy: Facts['pausedBy'];
  /** The facts for the conditions, apart from the workload. */
  facts: Partial<Facts> = {};
  /** Additional fields of the status. */
  status: object = {};
  /** When the object is to be reconciled again. */
  outcome: Outcome;

  constructor(object: KubeObject) {
    const { document, issues } = parseObject<D>(object);
    this.object = object;
    this.key = keyOf(object);
    this.name = object.metadata.name;
    this.namespace = object.metadata.namespace ?? '';
    this.document = document;
    this.issues = issues;
  }

  get isDeleted(): boolean {
    return this.object.metadata.deletionTimestamp !== undefined;
  }

  found(facts: Partial<Facts>): void {
    this.facts = { ...this.facts, ...facts };
  }

  again(outcome: Outcome): void {
    this.outcome = soonest(this.outcome, outcome);
  }
}

export type AnyScope = GroupScope | MemberScope;

export class GroupScope extends Scope<HydrogenGroup> {
  readonly secretRefs: readonly SecretKeyRef[];
  readonly pausedBy: Facts['pausedBy'];
  /** Keys of the gateways and message processors that refer to it. */
  readonly members: readonly string[];

  constructor(object: KubeObject, store: Store) {
    super(object);
    this.secretRefs = secretRefsIn(this.document?.spec);
    this.pausedBy = this.document?.spec.paused ? 'object' : undefined;
    this.members = store.membersOf(this.namespace, this.name);
    this.status = {
      gateways: this.members.filter((key) => key.startsWith('HydrogenGateway/')).length,
      processors: this.members.filter((key) => key.startsWith('HydrogenMessageProcessor/')).length,
    };
  }
}

export class MemberScope extends Scope<HydrogenGateway | HydrogenMessageProcessor> {
  readonly secretRefs: readonly SecretKeyRef[];
  readonly pausedBy: Facts['pausedBy'];
  readonly groupName: string | undefined;
  readonly groupObject: KubeObject | undefined;
  /** Undefined: the group is missing or invalid. */
  readonly group: HydrogenGroup | undefined;

  constructor(object: KubeObject, store: Store) {
    super(object);
    this.groupName = groupNameOf(object);
    this.groupObject =
      this.groupName === undefined ? undefined : store.custom(groupKey(this.namespace, this.groupName));
    this.group = groupIn(this.groupObject);
    // Its pods mount the secrets of the group as well.
    this.secretRefs = this.document === undefined ? [] : secretRefsIn([this.group?.spec, this.document.spec]);
    this.pausedBy = this.document?.spec.paused ? 'object' : this.group?.spec.paused ? 'group' : undefined;
    this.facts = { groupName: this.groupName };
  }
}
