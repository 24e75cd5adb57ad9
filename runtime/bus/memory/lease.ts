/** The leases of the memory bus: held while their bus is up, gone `leaseMs` after it went down or stopped. */

import type { Lease } from '../port/leases.ts';

export interface MemoryLeases {
  /** @param owner identifies the bus that holds it */
  hold(instanceId: string, owner: object, onLost: () => void): Lease;
  isHeld(instanceId: string): boolean;
  /** The owner ended without releasing: its leases expire by themselves. */
  abandon(owner: object): void;
  /** While down nothing is renewed. */
  setDown(isDown: boolean): void;
}

interface Held {
  readonly owner: object;
  readonly onLost: () => void;
  isAbandoned: boolean;
  isLost: boolean;
  expiresAtMs: number;
  lossTimer: NodeJS.Timeout | undefined;
}

/** An owner is told of its loss after this share of the lease, so that it acts before others see it expired. */
export const lossShare = 0.8;

export function createMemoryLeases(leaseMs: number): MemoryLeases {
  const leases = new Map<string, Held>();
  let isDown = false;

  function expire(held: Held): void {
    if (held.expiresAtMs !== Number.POSITIVE_INFINITY) return;
    held.expiresAtMs = Date.now() + leaseMs;
    if (held.isAbandoned) return;
    held.lossTimer = setTimeout(() => {
      held.isLost = true;
      held.onLost();
    }, leaseMs * lossShare).unref();
  }

  return {
    hold: (instanceId, owner, onLost) => {
      const held: Held = {
        owner,
        onLost,
        isAbandoned: false,
        isLost: false,
        expiresAtMs: Number.POSITIVE_INFINITY,
        lossTimer: undefined,
      };
      leases.set(instanceId, held);
      if (isDown) expire(held);
      return {
        get isHeld() {
          return leases.get(instanceId) === held && !held.isLost && !held.isAbandoned;
        },
        release: async () => {
          clearTimeout(held.lossTimer);
          if (leases.get(instanceId) === held) leases.delete(instanceId);
        },
      };
    },
    isHeld: (instanceId) => {
      const held = leases.get(instanceId);
      if (held !== undefined && held.expiresAtMs > Date.now()) return true;
      return false;
    },
    abandon: (owner) => {
      for (const held of leases.values()) {
        if (held.owner !== owner) continue;
        clearTimeout(held.lossTimer);
        held.isAbandoned = true;
        expire(held);
      }
    },
    setDown: (next) => {
      isDown = next;
      for (const held of leases.values()) {
        if (isDown) expire(held);
        else if (!held.isAbandoned) {
          clearTimeout(held.lossTimer);
          held.expiresAtMs = Number.POSITIVE_INFINITY;
          held.isLost = false;
        }
      }
    },
  };
}
