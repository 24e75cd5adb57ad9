/**
 * Brings the cluster in line with the object of a key. A reconciliation may start at any time; it always runs the phases
 * from the first one, in order, and reports what they found once, at the end. Nothing here waits: delays are in the queues.
 */

import { Children } from '../children/children.ts';
import { messageOf } from '../kube/errors.ts';
import type { Events } from '../kube/events.ts';
import { groupKey, groupNameOf, keyOf } from '../kube/keys.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Outcome } from '../queue.ts';
import { createReporter, type Reporter } from '../status/reporter.ts';
import type { StatusWriter } from '../status/writer.ts';
import { applyServers, declareStreams, holdGroup, removeGroup } from './group.ts';
import {
  applyWorkload,
  checkMemberSecrets,
  declareConsumers,
  readReports,
  removeMember,
  requireGroup,
} from './member.ts';
import { Overdue } from './overdue.ts';
import { checkSecrets, referToSecrets, refuseInvalid } from './phases.ts';
import { type AnyScope, type End, GroupScope, MemberScope, type Phase, type Tools } from './scope.ts';

const groupPhases: readonly Phase<GroupScope>[] = [
  referToSecrets,
  removeGroup,
  holdGroup,
  refuseInvalid,
  checkSecrets,
  applyServers,
  declareStreams,
];

const memberPhases: readonly Phase<MemberScope>[] = [
  referToSecrets,
  removeMember,
  refuseInvalid,
  requireGroup,
  checkMemberSecrets,
  declareConsumers,
  applyWorkload,
];

export interface ReconcilerOptions extends Omit<Tools, 'children'> {
  readonly status: StatusWriter;
  readonly events: Events;
  /** How long an object may fail to be reconciled until its status says so. @default 5_000 */
  readonly overdueMs?: number | undefined;
}

export class Reconciler {
  readonly #tools: Tools;
  readonly #reporter: Reporter;
  readonly #events: Events;
  readonly #overdue: Overdue;

  constructor(options: ReconcilerOptions) {
    this.#events = options.events;
    this.#overdue = new Overdue(options.overdueMs ?? 5000);
    this.#tools = { ...options, children: new Children(options) };
    this.#reporter = createReporter(options);
  }

  /** @throws {ApiError} when it is worth retrying */
  async reconcile(key: string): Promise<Outcome> {
    const { store, secrets, rollouts, buses } = this.#tools;
    const object = store.custom(key);
    if (object === undefined) {
      // The object may have been removed while it was being reconciled.
      secrets.refer(key, '', []);
      rollouts.leave(key);
      this.#overdue.forget(key);
      const [kind, namespace = '', name = ''] = key.split('/');
      if (kind === 'HydrogenMessageProcessor') buses.dropProcessor(namespace, name);
      return undefined;
    }
    if (object.kind === 'HydrogenGroup') return this.#run(groupPhases, new GroupScope(object, store), () => {});
    const scope = new MemberScope(object, store);
    try {
      return await this.#run(memberPhases, scope, readReports);
    } finally {
      // Its group may have been removed in the meantime, and must not leave a connection behind.
      const { namespace, groupName = '' } = scope;
      if (store.custom(groupKey(namespace, groupName)) === undefined) await buses.disconnect(namespace, groupName);
    }
  }

  /** Forgets everything about an object that is gone. */
  async forget(object: KubeObject): Promise<void> {
    const { applier, secrets, rollouts, buses } = this.#tools;
    const { uid = '', namespace = '', name } = object.metadata;
    applier.forget(uid);
    // Another object with the same name may already exist; its secrets are registered when it is reconciled.
    secrets.refer(keyOf(object), namespace, []);
    rollouts.leave(keyOf(object));
    if (object.kind === 'HydrogenGroup') await buses.disconnect(namespace, name);
    else buses.dropConsumers(namespace, groupNameOf(object) ?? '', name);
  }

  /** @param observe comes before the report, however the phases have ended */
  async #run<S extends AnyScope>(
    phases: readonly Phase<S>[],
    scope: S,
    observe: (scope: S, tools: Tools) => void,
  ): Promise<Outcome> {
    const attempt = this.#overdue.begin(scope.key, (error) => this.#reportOverdue(scope, error));
    try {
      const end = await this.#runPhases(phases, scope);
      await attempt.settle();
      if (end !== 'released') {
        observe(scope, this.#tools);
        await this.#report(scope);
      }
      attempt.succeed();
      return scope.outcome;
    } catch (error) {
      await attempt.fail(error);
      throw error;
    }
  }

  async #runPhases<S extends AnyScope>(phases: readonly Phase<S>[], scope: S): Promise<End | undefined> {
    for (const phase of phases) {
      const end = await phase(scope, this.#tools);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  #report({ object, facts, status, document }: AnyScope): Promise<void> {
    return this.#reporter.report(object, facts, status, document);
  }

  /** The event comes first: whatever makes writes fail may also make that of the status fail. */
  async #reportOverdue(scope: AnyScope, error: unknown): Promise<void> {
    const { object, isDeleted, key } = scope;
    const cause = error === undefined ? 'the API server has not answered yet' : messageOf(error);
    const reason = isDeleted ? 'RemovalFailing' : 'ApplyFailing';
    const subject = `${object.kind}/${object.metadata.name}`;
    const message = isDeleted
      ? `the removal of ${subject} keeps failing, and is retried: ${cause}`
      : `what ${subject} specifies cannot be applied, and is retried; what was applied last stays in force: ${cause}`;
    this.#events.record(object, { type: 'Warning', reason, action: 'Reconcile', note: message });
    const facts = isDeleted
      ? { deleting: { reason: 'RemovalFailing', message } as const }
      : { problem: { reason: 'ApplyFailing', message } as const };
    try {
      const { facts: found, status, document } = scope;
      await this.#reporter.report(object, { ...found, ...facts }, status, document);
    } catch (err) {
      this.#tools.log.statusFailed({ object: key, err });
    }
  }
}
