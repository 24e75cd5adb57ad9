/**
 * Which of several operators acts: the holder of a Lease. Times are measured on our own clock, from when the lease was
 * seen to change, so that clocks need not agree. Whoever cannot renew in time must stop before another one may begin.
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
  /** Name of this contender, unique. */
  readonly identity: string;
  readonly onLeading: () => void;
  /** It is over, though nobody asked for it. Called at most once, and only after `onLeading`. */
  readonly onLost: () => void;
  readonly onFollowing?: (holder: string) => void;
  readonly onFailure: (error: unknown) => void;
  /** How long a lease lives without being renewed. @default 15_000 */
  readonly durationMs?: number;
  /** How long the leader goes on without having renewed. @default 10_000 */
  readonly renewDeadlineMs?: number;
  /** @default 2_000 */
  readonly retryMs?: number;
}

export interface LeaderElection {
  readonly isLeading: boolean;
  start(): void;
  /** Gives the lease up when it is ours, so that another contender need not wait. Call it after the last write. */
  stop(): Promise<void>;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { kube, namespace, name, identity, onLeading, onLost, onFollowing, onFailure } = options;
  const { durationMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
  const stopping = new AbortController();
  let observed: { version: string; atMs: number } | undefined;
  let renewedAtMs = 0;
  let isLeading = false;
  let isOver = false;
  let holder = '';
  let loop: Promise<void> | undefined;
  let deadline: NodeJS.Timeout | undefined;

  /** Resolves with whether the lease is ours from now on. */
  async function contend(): Promise<boolean> {
    const lease = await kube.get(leaseType, namespace, name);
    const startedMs = performance.now();
    if (lease === undefined) {
      await kube.create(leaseType, leaseOf(undefined, 0));
      renewedAtMs = startedMs;
      return true;
    }
    const spec = (lease.spec ?? {}) as LeaseSpec;
    const version = lease.metadata.resourceVersion ?? '';
    if (observed?.version !== version) observed = { version, atMs: startedMs };
    const isFree = !spec.holderIdentity;
    const lifeMs = (spec.leaseDurationSeconds ?? durationMs / 1000) * 1000;
    if (!isFree && spec.holderIdentity !== identity && startedMs - observed.atMs < lifeMs) {
      if (holder !== spec.holderIdentity) onFollowing?.(spec.holderIdentity ?? '');
      holder = spec.holderIdentity ?? '';
      return false;
    }
    const isRenewal = spec.holderIdentity === identity;
    const next = leaseOf(lease, (spec.leaseTransitions ?? 0) + (isRenewal ? 0 : 1));
    await kube.replace(leaseType, next);
    renewedAtMs = startedMs;
    return true;
  }

  function leaseOf(before: KubeObject | undefined, leaseTransitions: number): KubeObject {
    const now = microTime(new Date());
    const spec = (before?.spec ?? {}) as LeaseSpec;
    const isRenewal = spec.holderIdentity === identity;
    const { resourceVersion } = before?.metadata ?? {};
    return {
      apiVersion: leaseType.apiVersion,
      kind: leaseType.kind,
      metadata: { name, namespace, ...(resourceVersion !== undefined && { resourceVersion }) },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1000)),
        acquireTime: isRenewal ? spec.acquireTime : now,
        renewTime: now,
        leaseTransitions,
      },
    };
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted && !isOver) {
      try {
        const isOurs = await contend();
        if (isOver || stopping.signal.aborted) return;
        if (isOurs) lead();
        else if (isLeading) lose();
      } catch (error) {
        // Somebody else was faster; the next look shows who.
        if (!isApiError(error, 'conflict')) onFailure(error);
      }
      await delay(retryMs * (0.9 + 0.2 * Math.random()), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  function lead(): void {
    clearTimeout(deadline);
    // A process that was suspended finds the timer overdue before it does anything else.
    deadline = setTimeout(lose, Math.max(0, renewedAtMs + renewDeadlineMs - performance.now()));
    if (isLeading) return;
    isLeading = true;
    onLeading();
  }

  function lose(): void {
    if (isOver) return;
    isOver = true;
    isLeading = false;
    clearTimeout(deadline);
    onLost();
  }

  return {
    /** False as soon as the deadline has passed, even when the timer has not fired yet. */
    get isLeading() {
      return isLeading && performance.now() - renewedAtMs < renewDeadlineMs;
    },
    start: () => {
      loop ??= run();
    },
    stop: async () => {
      stopping.abort();
      clearTimeout(deadline);
      await loop;
      const wasLeading = isLeading;
      isOver = true;
      isLeading = false;
      if (!wasLeading) return;
      try {
        const lease = await kube.get(leaseType, namespace, name);
        const spec = (lease?.spec ?? {}) as LeaseSpec;
        if (lease === undefined || spec.holderIdentity !== identity) return;
        const released = leaseOf(lease, spec.leaseTransitions ?? 0);
        await kube.replace(leaseType, {
          ...released,
          spec: { ...(released.spec as LeaseSpec), holderIdentity: '', leaseDurationSeconds: 1 },
        });
      } catch (error) {
        onFailure(error);
      }
    },
  };
}
