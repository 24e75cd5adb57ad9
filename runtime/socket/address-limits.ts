/**
 * How many connections an address may have, and how many handshakes a second it may begin. Nothing is kept while both
 * limits are off; otherwise an address is forgotten once it has no connection and may begin a full second's worth again.
 */

import { HydrogenError } from '../errors.ts';
import { addressKey } from './address.ts';
import type { LiveSocketPolicy } from './policy.ts';

interface Usage {
  places: number;
  /** Handshakes that may begin now; refilled at the rate. */
  tokens: number;
  refilledAtMs: number;
}

const minSwept = 1_024;

export class AddressLimits {
  readonly #policy: LiveSocketPolicy;
  /** Who has a place: an upgrade, later its connection. */
  readonly #holders = new WeakMap<object, Usage>();
  readonly #usages = new Map<string, Usage>();
  /** The number of addresses at which those that are idle are forgotten. */
  #sweepAt = minSwept;

  constructor(policy: LiveSocketPolicy) {
    this.#policy = policy;
  }

  /** Gives a handshake its place. @throws {HydrogenError} HYD_TOO_MANY_FROM_ADDRESS */
  enter(holder: { readonly remoteAddress: string }): void {
    const { maxConnectionsPerAddress, handshakesPerSecondPerAddress } = this.#policy.current.limits;
    if (maxConnectionsPerAddress === 0 && handshakesPerSecondPerAddress === 0) return;
    const key = addressKey(holder.remoteAddress);
    const usage = this.#refilled(key, handshakesPerSecondPerAddress);
    if (handshakesPerSecondPerAddress > 0) {
      if (usage.tokens < 1) throw new HydrogenError('HYD_TOO_MANY_FROM_ADDRESS', `handshakes a second from ${key}`);
      usage.tokens -= 1;
    }
    if (maxConnectionsPerAddress > 0 && usage.places >= maxConnectionsPerAddress) {
      throw new HydrogenError('HYD_TOO_MANY_FROM_ADDRESS', `connections from ${key}`);
    }
    usage.places += 1;
    this.#holders.set(holder, usage);
  }

  /** The place of `from`, if it has one, is that of `to` now. */
  pass(from: object, to: object): void {
    const usage = this.#holders.get(from);
    if (usage === undefined) return;
    this.#holders.delete(from);
    this.#holders.set(to, usage);
  }

  /** Gives a place back; nothing happens when there is none. */
  leave(holder: object): void {
    const usage = this.#holders.get(holder);
    if (usage === undefined) return;
    this.#holders.delete(holder);
    usage.places -= 1;
  }

  #refilled(key: string, perSecond: number): Usage {
    const nowMs = performance.now();
    let usage = this.#usages.get(key);
    if (usage === undefined) {
      this.#sweep(nowMs);
      usage = { places: 0, tokens: perSecond, refilledAtMs: nowMs };
      this.#usages.set(key, usage);
    }
    usage.tokens = Math.min(perSecond, usage.tokens + ((nowMs - usage.refilledAtMs) * perSecond) / 1000);
    usage.refilledAtMs = nowMs;
    return usage;
  }

  #sweep(nowMs: number): void {
    if (this.#usages.size < this.#sweepAt) return;
    for (const [key, { places, refilledAtMs }] of this.#usages) {
      if (places === 0 && nowMs - refilledAtMs >= 1000) this.#usages.delete(key);
    }
    this.#sweepAt = Math.max(minSwept, this.#usages.size * 2);
  }
}
