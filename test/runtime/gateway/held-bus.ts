/** A gateway's bus whose acknowledgements a test withholds. */

import type { MemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import { replaced } from '../../kit/replaced.ts';

export interface WithholdingBus {
  readonly bus: Bus;
  /** Messages handed to it. */
  readonly published: number;
  /** Messages handed to it and not acknowledged. */
  readonly unacknowledged: number;
  /** From now on messages are stored at once, and those withheld too. */
  acknowledge(): void;
}

/** Stores nothing, and so acknowledges nothing, until `acknowledge`. */
export function withholdingBus(broker: MemoryBroker): WithholdingBus {
  const real = broker.connect();
  const gate = Promise.withResolvers<void>();
  let published = 0;
  let unacknowledged = 0;
  const messages = replaced(real.messages, {
    publish: async (message) => {
      published += 1;
      unacknowledged += 1;
      await gate.promise;
      const position = await real.messages.publish(message);
      unacknowledged -= 1;
      return position;
    },
    get unacknowledged() {
      return { messages: unacknowledged, bytes: unacknowledged };
    },
  });
  return {
    bus: replaced(real, { messages }),
    get published() {
      return published;
    },
    get unacknowledged() {
      return unacknowledged;
    },
    acknowledge: () => gate.resolve(),
  };
}
