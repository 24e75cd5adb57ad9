/** Where the deliveries of a consumption come from: the stream of client messages, or a waiting room. */

import type { Msg } from 'nats';
import type { HydrogenError } from '../../errors.ts';
import type { Delivery } from '../port/messages.ts';
import type { DeliveryOwner, NatsDelivery } from './delivery.ts';
import type { ConsumerSet } from './durables.ts';
import type { AckSubject } from './wire.ts';

/** What an attempt to set up consumers gets. */
export interface SetupAttempt {
  /** True when an earlier attempt has succeeded. */
  readonly hasSucceeded: boolean;
  /** A problem that does not prevent deliveries. */
  report(problem: HydrogenError): void;
}

export interface ConsumptionSource {
  /** Name of the stream. */
  readonly stream: string;
  /** The subject of sentences about its problems, such as `consumer chat`. */
  readonly what: string;
  /** Creates or adapts streams and consumers. @throws what `Requests.api` throws */
  ensure(attempt: SetupAttempt): Promise<ConsumerSet>;
  /**
   * Narrows consumers that `ensure` has found to be wide. Resolves with false when it must be tried again.
   * @param isWanted false once this consumption has been stopped
   * @throws what `Requests.api` throws
   */
  narrow(isWanted: () => boolean): Promise<boolean>;
  /** Called after the first request to a consumer of entries from which nobody else reads, or when first lanes are owned. */
  reading(): void;
  /**
   * Called when this replica stops for good and requests no more entries: lets it be known that it may be the last
   * reader. Resolves with true once nobody writes entries for it any more, and with false when others read on, or that
   * can't be reached. Never rejects.
   */
  leave(entries: readonly string[]): Promise<boolean>;
  /**
   * @param block its headers
   * @returns HYD_MESSAGE_UNREADABLE when no hydrogen wrote it; none when it is for another consumer
   */
  read(
    msg: Msg,
    ack: AckSubject,
    reply: string,
    block: string,
    owner: DeliveryOwner,
  ): readonly NatsDelivery[] | HydrogenError;
  /** Ends a delivery that was never handed out. Must not reject. */
  giveBack(delivery: Delivery): Promise<void>;
}
