/**
 * What the buses of one process share: the stored messages, the durable consumers, the dead letters and the leases. It
 * stands where the NATS server stands; nothing here survives the process.
 */

import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { DeadLetter, DeadLetterCause } from '../port/dead-letters.ts';
import type { ClientMessage, ConsumerOptions } from '../port/messages.ts';
import { createMemoryConsumer, type MemoryConsumer, type Stored } from './consumer.ts';

export interface StoreLimits {
  readonly maxStoredMessages: number;
  readonly maxStoredBytes: number;
  readonly maxDeadLetters: number;
}

/** A message that waits until the store takes it. */
export interface Pending {
  readonly message: ClientMessage;
  /** False while its bus is down: it stays where it is. */
  isReachable(): boolean;
  onStored(): void;
}

interface DeadLetterWaiter {
  readonly store: () => void;
  readonly isReachable: () => boolean;
}

export interface MemoryStore {
  readonly stored: { readonly messages: number; readonly bytes: number };
  readonly isFull: boolean;
  /** Told of every change of consumers, room and reachability. */
  onChange(listener: () => void): void;
  offer(pending: Pending): void;
  /** Takes a bus's messages back. */
  withdraw(isMine: (pending: Pending) => boolean): void;
  consumer(options: ConsumerOptions): MemoryConsumer;
  isConsumed(endpoint: string): boolean;
  bury(letter: Omit<DeadLetter, 'sequence'>, processor: string, isReachable: () => boolean, onStored: () => void): void;
  letters(processor: string): ReadonlyMap<number, DeadLetter>;
  unbury(processor: string, sequence: number): boolean;
  /** @throws {HydrogenError} HYD_NOT_READY when no consumer would get it */
  replay(processor: string, sequence: number): boolean;
  /** Looks again at everything that waits. */
  wake(): void;
}

export function createMemoryStore(limits: StoreLimits): MemoryStore {
  const consumers = new Map<string, MemoryConsumer>();
  const graves = new Map<string, Map<number, DeadLetter>>();
  const listeners: (() => void)[] = [];
  const waiting = new Fifo<Pending>();
  const parked = new Fifo<Pending>();
  let waitingLetters: DeadLetterWaiter[] = [];
  let messages = 0;
  let bytes = 0;
  let letterCount = 0;
  let lastSequence = 0;

  const isFull = (): boolean => messages >= limits.maxStoredMessages || bytes >= limits.maxStoredBytes;

  function changed(): void {
    for (const listener of listeners) listener();
  }

  function release(stored: Stored): void {
    stored.holders--;
    if (stored.holders > 0) return;
    messages--;
    bytes -= stored.message.payload.byteLength;
    if (waiting.length > 0) admit();
  }

  function hold(message: ClientMessage, holders: readonly MemoryConsumer[], isReplay: boolean): void {
    if (holders.length === 0) return;
    messages++;
    bytes += message.payload.byteLength;
    const stored: Stored = { message, storedAtMs: Date.now(), holders: holders.length };
    for (const consumer of holders) consumer.enqueue(stored, isReplay);
  }

  // In the order of arrival. What waits here had its bus up when it came, so an unreachable head means all are down.
  function admit(): void {
    const wasFull = isFull();
    while (!isFull() && waiting.peek()?.isReachable()) {
      const pending = waiting.shift();
      if (pending === undefined) break;
      const { message } = pending;
      const holders = Array.from(consumers.values()).filter((consumer) => consumer.covers(message.endpoint));
      hold(message, holders, false);
      pending.onStored();
    }
    if (wasFull !== isFull()) changed();
  }

  function unbury(processor: string, sequence: number): boolean {
    if (!graves.get(processor)?.delete(sequence)) return false;
    letterCount--;
    admitLetters();
    return true;
  }

  function admitLetters(): void {
    const still: DeadLetterWaiter[] = [];
    for (const waiter of waitingLetters) {
      if (letterCount < limits.maxDeadLetters && waiter.isReachable()) waiter.store();
      else still.push(waiter);
    }
    waitingLetters = still;
  }

  const letters = (processor: string): Map<number, DeadLetter> => {
    const known = graves.get(processor) ?? new Map<number, DeadLetter>();
    graves.set(processor, known);
    return known;
  };

  return {
    get stored() {
      return { messages, bytes };
    },
    get isFull() {
      return isFull();
    },
    onChange: (listener) => void listeners.push(listener),
    offer: (pending) => {
      if (!pending.isReachable()) {
        parked.push(pending);
        return;
      }
      waiting.push(pending);
      if (waiting.length === 1) admit();
    },
    withdraw: (isMine) => {
      for (const queue of [waiting, parked]) {
        for (const pending of queue.drain()) if (!isMine(pending)) queue.push(pending);
      }
    },
    consumer: (options) => {
      const known = consumers.get(options.processor);
      known?.configure(options);
      const consumer = known ?? createMemoryConsumer(options, release);
      consumers.set(options.processor, consumer);
      queueMicrotask(changed);
      return consumer;
    },
    isConsumed: (endpoint) => Array.from(consumers.values()).some((consumer) => consumer.covers(endpoint)),
    bury: (letter, processor, isReachable, onStored) => {
      const store = (): void => {
        letterCount++;
        letters(processor).set(++lastSequence, { ...letter, sequence: lastSequence });
        onStored();
      };
      waitingLetters.push({ store, isReachable });
      admitLetters();
    },
    letters,
    unbury,
    replay: (processor, sequence) => {
      const letter = graves.get(processor)?.get(sequence);
      if (letter === undefined) return false;
      const consumer = consumers.get(processor);
      if (!consumer?.covers(letter.endpoint))
        throw new HydrogenError('HYD_NOT_READY', `nothing consumes for ${processor}`);
      const { id, connectionId, endpoint, callbackUrl, payload } = letter;
      hold({ id, connectionId, endpoint, callbackUrl, payload }, [consumer], true);
      return unbury(processor, sequence);
    },
    wake: () => {
      for (const consumer of consumers.values()) consumer.wake();
      for (const pending of parked.drain()) (pending.isReachable() ? waiting : parked).push(pending);
      admit();
      admitLetters();
      changed();
    },
  };
}

/** A letter that has no place yet. */
export function letterOf(
  message: ClientMessage,
  attempts: number,
  cause: DeadLetterCause,
): Omit<DeadLetter, 'sequence'> {
  const { id, connectionId, endpoint, callbackUrl, payload } = message;
  return { id, connectionId, endpoint, callbackUrl, payload, attempts, diedAtMs: Date.now(), ...cause };
}
