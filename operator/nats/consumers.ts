/** The consumers of one group, by message processor: what is wanted, what NATS answered, and the work in between. */
import type { NatsGroup, ProcessorLag } from '../../runtime/bus/nats/group.ts';
import type { ConsumerOptions } from '../../runtime/bus/port/messages.ts';
import { digest } from '../digest.ts';
import { messageOf } from '../kube/errors.ts';
import { DestinationBacklog } from './backlog.ts';
import { isSameLag, type LagStatus, lagStatusOf } from './lag.ts';
import { type Removal, removalBlocked, removalDone, removalPending } from './removal.ts';
import { retryMs } from './streams.ts';

/** `kept`: they are left unchanged, because the processor or its group is paused. */
export type ConsumersWish =
  | { readonly kind: 'made'; readonly options: ConsumerOptions }
  | { readonly kind: 'kept' }
  | { readonly kind: 'removed' };

/** The last attempt. */
interface Attempt {
  /** Digest of what was wanted. */
  readonly of: string;
  /** Why NATS refused it; undefined: it succeeded. */
  readonly refusal: string | undefined;
  readonly atMs: number;
}

interface Entry {
  wish: ConsumersWish;
  attempt: Attempt | undefined;
}

/** An entry that is to be worked on. */
interface Due {
  readonly processor: string;
  readonly entry: Entry;
  readonly of: string;
}

type Present = ReturnType<NatsGroup['readConsumers']>;

/** Number of processors that are worked on at once. Each may have 256 consumers, which take a slow server seconds. */
const batchSize = 4;

/**
 * Milliseconds until the list of consumers may be read again, for each consumer on it. Otherwise each of many processors
 * that appear one after another would have the growing list read once more, which exceeds what a server may send.
 */
const pausePerConsumerMs = 2;

export class GroupConsumers {
  readonly #nats: NatsGroup;
  readonly #onChange: (processor: string) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #lags = new Map<string, LagStatus>();
  readonly #backlogs = new Map<string, DestinationBacklog>();
  /** Incremented when others may have changed consumers, which makes all of them due again. */
  #epoch = 0;
  /** When the list of consumers may be read again. */
  #readAtMs = 0;

  /** @param onChange called when the facts of a processor's consumers, or its lag, have changed */
  constructor(nats: NatsGroup, onChange: (processor: string) => void) {
    this.#nats = nats;
    this.#onChange = onChange;
  }

  /** Returns true if the wish differs from the previous one. */
  want(processor: string, wish: ConsumersWish): boolean {
    const entry = this.#entries.get(processor);
    if (entry === undefined) this.#entries.set(processor, { wish, attempt: undefined });
    else {
      if (digest(entry.wish) === digest(wish)) return false;
      // A refusal stays until the next attempt has ended.
      if (entry.wish.kind !== wish.kind) entry.attempt = undefined;
      entry.wish = wish;
    }
    return true;
  }

  /** Forgets a processor that is gone. */
  drop(processor: string): void {
    this.#entries.delete(processor);
    this.#forget(processor);
  }

  #forget(processor: string): void {
    this.#lags.delete(processor);
    this.#backlogs.delete(processor);
  }

  /** Why NATS refuses the consumers of a processor; undefined: no refusal is known. */
  refusalOf(processor: string): string | undefined {
    return this.#entries.get(processor)?.attempt?.refusal;
  }

  /** The progress of their removal, once it is the wish. */
  removalOf(processor: string): Removal {
    const attempt = this.#entries.get(processor)?.attempt;
    if (attempt === undefined) return removalPending;
    return attempt.refusal === undefined ? removalDone : removalBlocked(attempt.refusal);
  }

  /** Undefined until NATS has been queried. */
  lagOf(processor: string): LagStatus | undefined {
    return this.#lags.get(processor);
  }

  /**
   * Messages that were waiting for a destination when NATS was queried and the time before as well, by waiting room;
   * undefined until it has been queried.
   */
  waitingOf(processor: string): ReadonlyMap<string, number> | undefined {
    return this.#backlogs.get(processor)?.waiting;
  }

  /** Call it when others may have changed the consumers. */
  expire(): void {
    this.#epoch += 1;
  }

  /** When the next retry is due; undefined: there is nothing to retry. */
  retryAtMs(areStreamsUsable: boolean): number | undefined {
    const isWaiting = [...this.#entries.values()].some((entry) => this.#isDue(entry, areStreamsUsable));
    let soonestMs = isWaiting ? this.#readAtMs : undefined;
    for (const { wish, attempt } of this.#entries.values()) {
      if (attempt?.refusal === undefined || (wish.kind === 'made' && !areStreamsUsable)) continue;
      soonestMs = Math.min(soonestMs ?? Number.POSITIVE_INFINITY, attempt.atMs + retryMs);
    }
    return soonestMs;
  }

  /** Does what is due. Never rejects. @param areStreamsUsable whether consumers can be made */
  async work(areStreamsUsable: boolean): Promise<void> {
    const due: Due[] = [];
    for (const [processor, entry] of this.#entries) {
      if (this.#isDue(entry, areStreamsUsable)) due.push({ processor, entry, of: this.#digestOf(entry.wish) });
    }
    if (due.length === 0 || performance.now() < this.#readAtMs) return;
    // One read serves all of them: processors do not share consumers.
    const present = this.#nats.readConsumers();
    const failure = await refusalOf(present);
    const count = failure === undefined ? (await present).consumers.length : 0;
    this.#readAtMs = performance.now() + count * pausePerConsumerMs;
    for (let at = 0; at < due.length; at += batchSize) {
      const batch = due.slice(at, at + batchSize);
      await Promise.all(batch.map(async (one) => this.#attempt(one, failure, present)));
    }
  }

  async #attempt({ processor, entry, of }: Due, failure: string | undefined, present: Present): Promise<void> {
    const { wish } = entry;
    const work = async (): Promise<unknown> =>
      wish.kind === 'made'
        ? this.#nats.ensureConsumers(wish.options, await present)
        : this.#nats.deleteConsumers(processor, await present);
    const refusal = failure ?? (await refusalOf(work()));
    // By now the processor may be gone, or the wish may be a different one, which is then due.
    if (this.#entries.get(processor) !== entry || entry.wish.kind !== wish.kind) return;
    const before = entry.attempt;
    entry.attempt = { of, refusal, atMs: performance.now() };
    if (before === undefined || before.refusal !== refusal) this.#onChange(processor);
  }

  /** Takes over the lags of processors. NATS counts entries, not the messages in them. Returns true if a processor has other consumers than were created for it. */
  observe(
    found: ReadonlyMap<string, ProcessorLag>,
    observedTime: string,
    messagesPerEntry: (processor: string) => number,
  ): boolean {
    for (const [processor, measured] of found) {
      const lag = lagStatusOf(measured, messagesPerEntry(processor), observedTime);
      const { waiting } = measured;
      const isNew = !this.#backlogs.has(processor);
      const backlog = this.#backlogs.get(processor) ?? new DestinationBacklog();
      this.#backlogs.set(processor, backlog);
      const hasChanged = backlog.observe(waiting) || isNew;
      if (isSameLag(this.#lags.get(processor), lag) && !hasChanged) continue;
      this.#lags.set(processor, lag);
      this.#onChange(processor);
    }
    for (const processor of this.#lags.keys()) if (!found.has(processor)) this.#forget(processor);
    return [...this.#entries].some(([processor, entry]) => {
      const made = madeFor(entry);
      if (made === 0) return false;
      const { consumers = 0, entriesConsumers = 0 } = found.get(processor) ?? {};
      // More of them are left over from a change that was interrupted; they would hold messages for ever.
      return consumers !== made || (isUnordered(entry) && entriesConsumers === 0);
    });
  }

  #isDue({ wish, attempt }: Entry, areStreamsUsable: boolean): boolean {
    if (wish.kind === 'kept' || (wish.kind === 'made' && !areStreamsUsable)) return false;
    if (attempt?.refusal !== undefined && performance.now() >= attempt.atMs + retryMs) return true;
    return attempt?.of !== this.#digestOf(wish);
  }

  /** Does not include the epoch for a removal: it is done once, whatever others do. */
  #digestOf(wish: ConsumersWish): string {
    return digest(wish.kind === 'made' ? [this.#epoch, wish.options] : wish.kind);
  }
}

/** How many consumers were successfully created for an entry. */
function madeFor({ wish, attempt }: Entry): number {
  if (wish.kind !== 'made' || attempt === undefined || attempt.refusal !== undefined) return 0;
  return wish.options.ordering === 'PerConnection' ? wish.options.partitions : 1;
}

function isUnordered({ wish }: Entry): boolean {
  return wish.kind === 'made' && wish.options.ordering === 'Unordered';
}

async function refusalOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
