/** Which lanes may be taken now: those without an owner, and those whose owner has released them or is lost. */

import { type KnownConsumer, metadataKeys } from '../consumer-view.ts';
import type { NatsCore } from '../core.ts';
import type { LaneRecord } from './owner-record.ts';
import type { Owners } from './owners.ts';
import type { Claim } from './takes.ts';

/** How long an owner may say nothing of a lane before it counts as not knowing of it. */
const forgottenMs = 10_000;

export class Claims {
  readonly #core: NatsCore;
  readonly #owners: Owners;
  /** Consumers that their owners do not mention, and since when. */
  readonly #unsaid = new Map<string, number>();

  constructor(core: NatsCore, owners: Owners) {
    this.#core = core;
    this.#owners = owners;
  }

  /** @param isFine true if the lane is this replica's and can go on with this consumer */
  async of(lane: number, consumer: string, isFine: (top: KnownConsumer) => boolean): Promise<Claim | undefined> {
    const { requests, subjects } = this.#core;
    try {
      const top = await requests.api<KnownConsumer>(`CONSUMER.INFO.${subjects.stream}.${consumer}`);
      return isFine(top) ? undefined : await this.#judge(lane, top);
    } catch {
      // It has no leader at the moment, or has just been replaced: the other lanes need not wait for it.
      return undefined;
    }
  }

  /** @param present the names of the consumers that exist */
  forgetReplaced(present: ReadonlySet<string>): void {
    for (const consumer of this.#unsaid.keys()) if (!present.has(consumer)) this.#unsaid.delete(consumer);
  }

  async #judge(lane: number, top: KnownConsumer): Promise<Claim | undefined> {
    const owner = top.config.metadata?.[metadataKeys.owner];
    if (owner === undefined) return { lane, top, isLost: false, record: undefined };
    const record = await this.#owners.recordOf(owner, top.name);
    const isFree = owner === this.#owners.id || record?.isReleased === true || this.#isForgotten(top.name, record);
    if (!isFree && this.#owners.isLive(owner)) return undefined;
    return { lane, top, isLost: !isFree, record };
  }

  /** A request that was slow made a replica the owner of a lane, and it does not know. */
  #isForgotten(consumer: string, record: LaneRecord | undefined): boolean {
    const nowMs = performance.now();
    const sinceMs = this.#unsaid.get(consumer) ?? nowMs;
    if (record === undefined) this.#unsaid.set(consumer, sinceMs);
    else this.#unsaid.delete(consumer);
    return nowMs - sinceMs > forgottenMs;
  }
}
