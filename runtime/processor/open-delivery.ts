/** A delivery that this process has open, and how far it has come. */

import type { DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import type { Route } from './router.ts';
import type { ProcessorSettings } from './settings.ts';

/**
 * `held`: not due yet. `queued`: behind another delivery of its connection. `waiting`: for room at its destination.
 * `parking`: on its way into a waiting room. `running`: it has its place.
 */
export type DeliveryStage = 'held' | 'queued' | 'waiting' | 'parking' | 'running';

/** How its time in a place ended: for good, with another queue to go on in, or with a time after which it is tried again. */
export type RunOutcome =
  | { readonly kind: 'ended' }
  | { readonly kind: 'moved'; readonly queue: string }
  | { readonly kind: 'held'; readonly delayMs: number };

export const ended: RunOutcome = { kind: 'ended' };

export class OpenDelivery {
  readonly delivery: Delivery;
  readonly arrivedAtMs = performance.now();
  /** Of its payload. */
  readonly bytes: number;
  /** True while its payload is forgotten. */
  isShed = false;
  stage: DeliveryStage = 'queued';
  /** Its successor on the same connection. */
  next: OpenDelivery | undefined;
  /** Deliveries of its connection while it is the last of them. */
  line = 1;
  /** The settings with which it was routed. */
  settings: ProcessorSettings | undefined;
  /** Undefined until it is decided. */
  route: Route | undefined;
  /** Why it will become a dead letter, when it waits here for nothing else. */
  cause: DeadLetterCause | undefined;
  /** Runs until it is due. */
  timer: NodeJS.Timeout | undefined;

  constructor(delivery: Delivery) {
    this.delivery = delivery;
    this.bytes = delivery.payload.byteLength;
  }
}
