/**
 * Leader election: of several operators, only the holder of a Lease acts. Times are measured with the local clock, from
 * the moment the Lease was seen to change, so that clocks need not agree. A leader that cannot renew in time must stop
 * before another one may begin.
 */
import { setTimeout as delay } from 'node:timers/promises';

import type { Kube } from './client.ts';
import { isApiError } from './errors.ts';
import { microTime } from './events.ts';
import { type KubeObject, leaseType } from './objects.ts';

export interface LeaderElectionOptions {
  readonly kube: Pick<Kube, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  readonly name: string;
  /** Unique name of this contender. */
  readonly identity: string;
  readonly onLeading: () => void;
  /** Leadership has ended without `stop`. Called at most once, and only after `onLeading`. */
  readonly onLost: () => void;
  readonly onFollowing?: (holder: string) => void;
  readonly onFailure: (error: unknown) => void;
  /** How long a Lease is valid without being renewed. @default 15_000 */
  readonly durationMs?: number;
  /** How long the leader keeps acting without a successful renewal. @default 10_000 */
  readonly renewDeadlineMs?: number;
  /** @default 2_000 */
  readonly retryMs?: number;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #durationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #stopping = new AbortController();
  /** `over`: it has lost leadership or was stopped, and never leads again. */
  #state: 'contending' | 'leading' | 'over' = 'contending';
  #observed: { readonly version: string; readonly atMs: number } | undefined;
  #renewedAtMs = 0;
  #holder = '';
  #isSuspended = false;
  #loop: Promise<void> | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#durationMs = options.durationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
  }

  /** False as soon as the deadline has passed, even when the timer has not fired yet. */
  get isLeading(): boolean {
    const isRenewed = performance.now() - this.#renewedAtMs < this.#renewDeadlineMs;
    return this.#state === 'leading' && !this.#isSuspended && isRenewed;
  }

  /** Stops leading at once, gives the Lease up, and does not contend for it until `resume`. */
  suspend(): void {
    this.#isSuspended = true;
  }

  resume(): void {
    this.#isSuspended = false;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Releases the Lease if it is ours, so that another contender need not wait. Call it after the last write. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#deadline);
    await this.#loop;
    const wasLeading = this.#state === 'leading';
    this.#state = 'over';
    if (wasLeading) await this.#release().catch(this.#options.onFailure);
  }

  async #run(): Promise<void> {
    const { retryMs = 2_000, onFailure } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#state !== 'over') {
      try {
        if (this.#isSuspended) await this.#stepDown();
        const isOurs = !this.#isSuspended && (await this.#contend());
        if (signal.aborted) return;
        if (isOurs) this.#lead();
        else if (this.#state === 'leading') this.#lose();
      } catch (error) {
        // Another contender was faster; the next attempt shows who.
        if (!isApiError(error, 'conflict')) onFailure(error);
      }
      await delay(retryMs * (0.9 + 0.2 * Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  async #stepDown(): Promise<void> {
    if (this.#state !== 'leading') return;
    this.#state = 'contending';
    clearTimeout(this.#deadline);
    await this.#release();
  }

  /** Resolves with true if the Lease is ours from now on. */
  async #contend(): Promise<boolean> {
    const { kube, namespace, name, identity, onFollowing } = this.#options;
    const lease = await kube.get(leaseType, namespace, name);
    const startedMs = performance.now();
    if (lease === undefined) {
      await kube.create(leaseType, this.#leaseFrom(undefined, 0));
      this.#renewedAtMs = startedMs;
      return true;
    }
    const { holderIdentity, leaseDurationSeconds, leaseTransitions = 0 } = (lease.spec ?? {}) as LeaseSpec;
    const version = lease.metadata.resourceVersion ?? '';
    if (this.#observed?.version !== version) this.#observed = { version, atMs: startedMs };
    const lifeMs = (leaseDurationSeconds ?? this.#durationMs / 1000) * 1000;
    const isRenewal = holderIdentity === identity;
    if (holderIdentity && !isRenewal && startedMs - this.#observed.atMs < lifeMs) {
      if (this.#holder !== holderIdentity) onFollowing?.(holderIdentity);
      this.#holder = holderIdentity;
      return false;
    }
    await kube.replace(leaseType, this.#leaseFrom(lease, leaseTransitions + (isRenewal ? 0 : 1)));
    this.#renewedAtMs = startedMs;
    return true;
  }

  #leaseFrom(before: KubeObject | undefined, leaseTransitions: number): KubeObject {
    const { namespace, name, identity } = this.#options;
    const now = microTime(new Date());
    const spec = (before?.spec ?? {}) as LeaseSpec;
    const { resourceVersion } = before?.metadata ?? {};
    return {
      apiVersion: leaseType.apiVersion,
      kind: leaseType.kind,
      metadata: { name, namespace, ...(resourceVersion !== undefined && { resourceVersion }) },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.max(1, Math.round(this.#durationMs / 1000)),
        acquireTime: spec.holderIdentity === identity ? spec.acquireTime : now,
        renewTime: now,
        leaseTransitions,
      },
    };
  }

  #lead(): void {
    if (this.#state === 'over') return;
    clearTimeout(this.#deadline);
    // A process that was suspended finds the timer overdue before it does anything else.
    const dueMs = this.#renewedAtMs + this.#renewDeadlineMs - performance.now();
    this.#deadline = setTimeout(() => this.#lose(), Math.max(0, dueMs));
    if (this.#state === 'leading') return;
    this.#state = 'leading';
    this.#options.onLeading();
  }

  #lose(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    clearTimeout(this.#deadline);
    this.#options.onLost();
  }

  async #release(): Promise<void> {
    const { kube, namespace, name, identity } = this.#options;
    const lease = await kube.get(leaseType, namespace, name);
    const spec = (lease?.spec ?? {}) as LeaseSpec;
    if (lease === undefined || spec.holderIdentity !== identity) return;
    const { spec: renewed, ...rest } = this.#leaseFrom(lease, spec.leaseTransitions ?? 0);
    const released = { ...(renewed as LeaseSpec), holderIdentity: '', leaseDurationSeconds: 1 };
    await kube.replace(leaseType, { ...rest, spec: released });
  }
}
