/**
 * The bus as gateways and message processors see it: one connection with five parts, each with an interface of its own,
 * so that callers depend only on the parts they need. Two implementations, `memory/` (one process, nothing survives it)
 * and `nats/` (JetStream), pass the contract suite in test/contract/bus/, which has a file for each part.
 *
 * A listener or handler must not throw. One that does is a bug and ends the process.
 */

import type { DeadLetterBus } from './dead-letters.ts';
import type { LeaseBus } from './leases.ts';
import type { MessageBus } from './messages.ts';
import type { PeerBus } from './peers.ts';
import type { WaitingBus } from './waiting.ts';

/** `up`: connected and usable. `down`: not connected yet, or the connection is lost; the bus reconnects by itself. */
export type BusStatus = 'up' | 'down' | 'stopped';

export interface Bus {
  readonly messages: MessageBus;
  readonly deadLetters: DeadLetterBus;
  readonly waiting: WaitingBus;
  readonly peers: PeerBus;
  readonly leases: LeaseBus;

  readonly status: BusStatus;
  onStatus(listener: (status: BusStatus, cause?: unknown) => void): void;
  /** Begins to connect and resolves at once; the bus may still be down. An unreachable server is no error. */
  start(): Promise<void>;
  /**
   * Ends every subscription and the connection; unacknowledged messages are rejected with HYD_BUS_STOPPED. Never
   * rejects.
   */
  stop(): Promise<void>;
}
