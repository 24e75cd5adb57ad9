/**
 * The names of the consumers of a processor's lanes, which change whenever a lane changes hands. A cluster knows names at
 * once, while a list of everything waits for each consumer, and one without a leader would stop all lanes from changing
 * hands.
 */

import { isNameOf, lastTake, slotOf, takeOf } from '../consumer-sets.ts';
import { consumerNames } from '../consumer-view.ts';
import type { NatsCore } from '../core.ts';
import type { ConsumerSet } from '../durables.ts';
import { removeConsumers } from './takes.ts';

/** What a look at the names has found. */
export interface Look {
  /** Others have changed consumers of the processor. */
  readonly isStale: boolean;
  /** Some belong to another set. */
  readonly isStrange: boolean;
}

export class LaneNames {
  readonly #core: NatsCore;
  readonly #processor: string;
  #tag = '';
  /** Without the numbers of takes, by lane. */
  #slots: readonly string[] = [];

  constructor(core: NatsCore, processor: string) {
    this.#core = core;
    this.#processor = processor;
  }

  /** Lanes of the processor; 0 while they are not known. */
  get count(): number {
    return this.#slots.length;
  }

  /** @returns false when these lanes are not those of before */
  adopt({ tag, names }: ConsumerSet): boolean {
    const isSame = this.#tag === tag;
    this.#tag = tag;
    this.#slots = names.map(slotOf);
    return isSame;
  }

  /** Those that exist, earlier takes included. @throws what `Requests.api` throws */
  async present(): Promise<string[]> {
    const slots = new Set(this.#slots);
    return (await this.#all()).filter((name) => slots.has(slotOf(name)));
  }

  /** @param owned the consumers of this replica's lanes @throws what `Requests.api` throws */
  async look(owned: readonly string[]): Promise<Look> {
    const mine = (await this.#all()).filter((name) => isNameOf(this.#processor, name));
    const slots = new Set(this.#slots);
    const isStale = mine.length !== this.count || owned.some((name) => !mine.includes(name));
    return { isStale, isStrange: mine.some((name) => !slots.has(slotOf(name))) };
  }

  /**
   * The consumers of all lanes; undefined when a lane has none. Removes those that lanes of this replica have replaced.
   * @param owned the consumers of this replica's lanes
   * @param onPresent called with all names @throws what `Requests.api` throws
   */
  async tops(owned: readonly string[], onPresent: (names: ReadonlySet<string>) => void): Promise<string[] | undefined> {
    const names = await this.#all();
    onPresent(new Set(names));
    const tops = this.#slots.map((slot) => lastTake(slot, names));
    if (!tops.every((top) => top !== undefined)) return undefined;
    // Somebody who took a lane before has not deleted the consumer that he replaced, or made one too late.
    const takes = new Map(owned.map((name) => [slotOf(name), takeOf(name)]));
    const earlier = names.filter((name) => takeOf(name) < (takes.get(slotOf(name)) ?? 0));
    // One without a leader is removed with the next look.
    void removeConsumers(this.#core.requests, this.#core.subjects.stream, earlier).catch(() => {});
    return tops;
  }

  #all(): Promise<string[]> {
    return consumerNames(this.#core.requests, this.#core.subjects.stream);
  }
}
