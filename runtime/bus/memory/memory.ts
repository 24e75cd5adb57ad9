/**
 * The bus in one process, for `hydrogen dev` and tests: every bus of one broker shares its messages, consumers, dead
 * letters and leases, with the redelivery semantics of JetStream and no durability. Payloads are kept by reference and
 * never copied.
 */

import type { Bus } from '../port/bus.ts';
import { defaultPublishLimits, type PublishLimits } from '../port/pressure.ts';
import { type Broker, createMemoryBus } from './bus.ts';
import { createMemoryLeases } from './lease.ts';
import { createMemoryStore } from './store.ts';

export interface MemoryBrokerOptions {
  /** Messages kept until they are consumed; above it publishers wait and are pressed. Default 100,000. */
  readonly maxStoredMessages?: number;
  /** The same in payload bytes. Default 256 MiB. */
  readonly maxStoredBytes?: number;
  /** Dead letters kept over all processors; above it `store` waits. Default 10,000. */
  readonly maxDeadLetters?: number;
  /** Default 1 MiB. */
  readonly maxPayloadBytes?: number;
  /** How long a lease outlives an owner that vanished. Default 30,000. */
  readonly leaseMs?: number;
  readonly publishLimits?: PublishLimits;
}

/** One memory that buses connect to. */
export interface MemoryBroker {
  /** A bus that, once started, shares everything with the others of this broker. */
  connect(): Bus;
  /** Fault injection for tests: while true every bus of this broker is down, as if the server were gone. */
  setDown(isDown: boolean): void;
  /** Messages that some consumer still needs, and their payload bytes. */
  readonly stored: { readonly messages: number; readonly bytes: number };
}

export function createMemoryBroker(options: MemoryBrokerOptions = {}): MemoryBroker {
  const broker: Broker = {
    store: createMemoryStore({
      maxStoredMessages: options.maxStoredMessages ?? 100_000,
      maxStoredBytes: options.maxStoredBytes ?? 256 * 1024 * 1024,
      maxDeadLetters: options.maxDeadLetters ?? 10_000,
    }),
    leases: createMemoryLeases(options.leaseMs ?? 30_000),
    handlers: new Map(),
    broadcasts: new Set(),
    maxPayloadBytes: options.maxPayloadBytes ?? 1024 * 1024,
    limits: options.publishLimits ?? defaultPublishLimits,
    isDown: false,
  };
  return {
    connect: () => createMemoryBus(broker),
    setDown: (isDown) => {
      if (broker.isDown === isDown) return;
      broker.isDown = isDown;
      broker.leases.setDown(isDown);
      broker.store.wake();
    },
    get stored() {
      return broker.store.stored;
    },
  };
}
