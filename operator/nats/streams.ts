/** The streams of one group: what the operator wants of them, what it has found, and the work in between. */
import type { NatsGroup } from '../../runtime/bus/nats/group.ts';
import { messageOf } from '../kube/errors.ts';
import type { BusFacts } from '../status/facts.ts';
import { type Removal, removalBlocked, removalDone, removalPending } from './removal.ts';

/** `kept`: they are only inspected, because the group is paused. `unasked`: no wish has been declared yet. */
export type StreamsWish = 'unasked' | 'made' | 'kept' | 'removed';

/** A failed attempt is retried after this long, because its cause may be gone. */
export const retryMs = 10_000;

export class GroupStreams {
  readonly #nats: NatsGroup;
  #wish: StreamsWish = 'unasked';
  #made: BusFacts | undefined;
  /** True if the wish must be carried out again: it or the connection is new, or others may have changed the streams. */
  #isStale = true;
  /** What is missing or differs; undefined before an inspection has succeeded. */
  #drift: readonly string[] | undefined;
  #uninspected: BusFacts | undefined;
  #removal = removalPending;
  #retryAtMs: number | undefined;

  constructor(nats: NatsGroup) {
    this.#nats = nats;
  }

  /** The state of the streams; `connecting` before anything is known. */
  get facts(): BusFacts {
    if (this.#wish === 'kept') {
      if (this.#drift === undefined) return this.#uninspected ?? { state: 'connecting' };
      return this.#drift.length === 0 ? { state: 'up' } : { state: 'paused', message: this.#drift.join('; ') };
    }
    if (this.#made !== undefined) return this.#made;
    return { state: this.#wish === 'made' ? 'connecting' : 'up' };
  }

  /** Whether consumers can be created. */
  get areUsable(): boolean {
    return this.#wish === 'made' && (this.#made?.state === 'up' || this.#made?.state === 'conflict');
  }

  /** The progress of their removal, once it is the wish. */
  get removal(): Removal {
    return this.#removal;
  }

  /** When the next retry is due; undefined: there is nothing to retry. */
  get retryAtMs(): number | undefined {
    return this.#retryAtMs;
  }

  /** Returns true if the wish differs from the previous one. */
  want(wish: StreamsWish): boolean {
    if (this.#wish === wish) return false;
    // Facts from before the pause may no longer be true.
    if (this.#wish === 'kept' && this.#drift?.length !== 0) this.#made = undefined;
    this.#wish = wish;
    this.#removal = removalPending;
    this.expire();
    return true;
  }

  /** Call it when others may have changed the streams. */
  expire(): void {
    this.#isStale = true;
    this.#retryAtMs = undefined;
  }

  /** Does what is due. Never rejects. */
  async work(): Promise<void> {
    const isRetry = this.#retryAtMs !== undefined && performance.now() >= this.#retryAtMs;
    if (!this.#isStale && !isRetry) return;
    this.#isStale = false;
    this.#retryAtMs = undefined;
    const wish = this.#wish;
    if (wish === 'made') await this.#make();
    else if (wish === 'removed') await this.#remove();
    else if (wish === 'kept' && this.#drift === undefined) await this.#inspect();
    // Failures are retried. Without a wish there is nothing to retry.
    if (this.#hasFailed(wish)) this.#retryAtMs = performance.now() + retryMs;
  }

  /**
   * Compares the streams with their settings. Resolves with true if the result differs from the last one.
   * @throws when NATS cannot be queried
   */
  async observe(): Promise<boolean> {
    const before = this.#drift?.join('; ');
    const drift = await this.#nats.inspectStreams();
    this.#drift = drift;
    return drift.join('; ') !== before;
  }

  #hasFailed(wish: StreamsWish): boolean {
    if (wish === 'made') return this.#made?.state !== 'up';
    if (wish === 'removed') return this.#removal.state !== 'done';
    return wish === 'kept' && this.#drift === undefined;
  }

  async #make(): Promise<void> {
    this.#made = await this.#ensure();
    if (this.#made.state === 'up') this.#drift = [];
    else await this.#inspect();
  }

  async #ensure(): Promise<BusFacts> {
    try {
      const conflicts = await this.#nats.ensureStreams();
      return conflicts.length === 0 ? { state: 'up' } : { state: 'conflict', message: conflicts.join('; ') };
    } catch (error) {
      if (isUnreachable(error)) return { state: 'down', message: messageOf(error) };
      const room = await this.#nats.accountRoom().catch(() => undefined);
      return { state: 'refused', message: [messageOf(error), room ?? []].flat().join('; ') };
    }
  }

  async #inspect(): Promise<void> {
    this.#drift = undefined;
    try {
      this.#drift = await this.#nats.inspectStreams();
    } catch (error) {
      this.#uninspected = { state: isUnreachable(error) ? 'down' : 'refused', message: messageOf(error) };
    }
  }

  async #remove(): Promise<void> {
    try {
      await this.#nats.deleteStreams();
      this.#removal = removalDone;
      this.#made = undefined;
    } catch (error) {
      this.#removal = removalBlocked(messageOf(error));
    }
  }
}

/** True if the connection failed, as opposed to a refusal by JetStream. */
function isUnreachable(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'HYD_BUS_UNREACHABLE';
}
