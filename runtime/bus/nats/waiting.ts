/** Waiting rooms on JetStream. */

import type { Parked, WaitingBus, WaitingRoom } from '../port/waiting.ts';

/** Knows no stream for rooms: nothing can be parked. */
export class NatsWaiting implements WaitingBus {
  async park(): Promise<Parked> {
    return 'unavailable';
  }

  async rooms(): Promise<undefined> {}

  enter(): WaitingRoom {
    return { maxOpen: 0, count: async () => undefined, stop: async () => {} };
  }
}
