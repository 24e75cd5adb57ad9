/** What a consumption in lanes says to whoever started it. */

import type { HydrogenError } from '../../../errors.ts';
import type { ConsumerSet } from '../durables.ts';
import type { LaneDelivery } from './lane-delivery.ts';

export interface LaneConsumptionEvents {
  onDelivery(delivery: LaneDelivery): void;
  onProblem(error: HydrogenError): void;
  onReadiness(): void;
  onWithdrawn(): void;
  onTakeover(lanes: number): void;
  onLeaseLost(lanes: number): void;
  /** There are entries that no lane delivers. */
  onEntries(): void;
  /** The processor's consumers are no lanes any more. */
  onOtherShape(found: ConsumerSet): void;
  onStopped(): void;
}
