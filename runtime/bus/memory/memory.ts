/**
 * The bus in one process, for `hydrogen dev` and tests: every bus of one broker shares its messages, consumers,
 * waiting rooms, dead letters and leases, with the redelivery semantics of JetStream and no durability. Payloads are kept by reference and
 * never copied.
 */

import type { Bus } from '../port/bus.ts';
import { defaultPublishLimits, type PublishLimits } from '../port/pressure.ts';
import { type Broker, MemoryBus } from './bus.ts';
import { LetterStore } from './dead-letters.ts';
import { LeaseStore } from './leases.ts';
import { MessageStore } from './store.ts';
import { WaitingStore } from './waiting.ts';

export interface MemoryBrokerOptions {
  /**
   * Messages kept until they are consumed; above it publishers wait and the bus is pressed. Waiting rooms
   * have room for half as many more, each room for a quarter. Default 100,000.
   */
  readonly maxStoredMessages?: number;
  /** The same limit in payload bytes. Default 256 MiB. */
  readonly maxStoredBytes?: number;
  /** Dead letters kept for all processors together; above it `store` waits. Default 10,000. */
  readonly maxDeadLetters?: number;
  /** Default 1 MiB. */
  readonly maxPayloadBytes?: number;
  /** How long a lease outlives a killed owner. Default 30,000. */
  readonly leaseMs?: number;
  readonly publishLimits?: PublishLimits;
}

/** An in-memory server that buses connect to. */
export interface MemoryBroker {
  /** A bus that, once started, shares everything with the others of this broker. */
  connect(): Bus;
  /** Fault injection for tests: while true every bus of this broker is down, as if the server were gone. */
  setDown(isDown: boolean): void;
  /** Messages that some processor has not consumed, waiting rooms included, and their payload bytes. */
  readonly stored: { readonly messages: number; readonly bytes: number };
}

export function createMemoryBroker(options: MemoryBrokerOptions = {}): MemoryBroker {
  const { maxStoredMessages = 100_000, maxStoredBytes = 256 * 1024 * 1024 } = options;
  const broker: Broker = {
    server: { isDown: false, maxPayloadBytes: options.maxPayloadBytes ?? 1024 * 1024 },
    store: new MessageStore({ maxStoredMessages, maxStoredBytes }),
    waiting: new WaitingStore({
      maxStoredMessages: Math.floor(maxStoredMessages / 2),
      maxStoredBytes: Math.floor(maxStoredBytes / 2),
    }),
    letters: new LetterStore(options.maxDeadLetters ?? 10_000),
    switchboard: { served: new Map(), started: new Set(), listeners: new Map() },
    leases: new LeaseStore(options.leaseMs ?? 30_000),
    limits: options.publishLimits ?? defaultPublishLimits,
  };
  return {
    connect: () => new MemoryBus(broker),
    setDown: (isDown) => {
      if (broker.server.isDown === isDown) return;
      broker.server.isDown = isDown;
      broker.leases.setDown(isDown);
      broker.store.wake();
      broker.waiting.wake();
    },
    get stored() {
      const { store, waiting } = broker;
      return {
        messages: store.stored.messages + waiting.stored.messages,
        bytes: store.stored.bytes + waiting.stored.bytes,
      };
    },
  };
}
