/** One bus of a memory broker: the port, on what the buses of the broker share. */

import { HydrogenError } from '../../errors.ts';
import type { Bus, BusStatus } from '../port/bus.ts';
import type { PeerAnswer } from '../port/peers.ts';
import type { PublishLimits } from '../port/pressure.ts';
import { checkedName, createSubjects } from '../subjects.ts';
import type { Member } from './consumer.ts';
import type { MemoryLeases } from './lease.ts';
import { letterOf, type MemoryStore, type Pending } from './store.ts';

export interface Handler {
  readonly isUp: () => boolean;
  readonly handle: (payload: Uint8Array) => Promise<Uint8Array>;
}

/** Shared by all buses of a broker. */
export interface Broker {
  readonly store: MemoryStore;
  readonly leases: MemoryLeases;
  readonly handlers: Map<string, Handler>;
  readonly broadcasts: Set<(payload: Uint8Array) => void>;
  readonly maxPayloadBytes: number;
  readonly limits: PublishLimits;
  isDown: boolean;
}

export function createMemoryBus(broker: Broker): Bus {
  const { store, leases, limits } = broker;
  const subjects = createSubjects('memory');
  const unacknowledged = new Map<Pending, (error: HydrogenError) => void>();
  const buried = new Set<(error: HydrogenError) => void>();
  const members = new Map<Member, () => void>();
  const statusListeners: ((status: BusStatus) => void)[] = [];
  const pressureListeners: ((isPressed: boolean) => void)[] = [];
  const consumerListeners: (() => void)[] = [];
  const broadcastListeners: ((payload: Uint8Array) => void)[] = [];
  const settled = new Set<() => void>();
  let phase: 'new' | 'started' | 'stopped' = 'new';
  let unacknowledgedBytes = 0;
  let lastStatus: BusStatus = 'down';
  let lastPressed = true;

  const status = (): BusStatus => {
    if (phase === 'stopped') return 'stopped';
    return phase === 'started' && !broker.isDown ? 'up' : 'down';
  };
  const isUp = (): boolean => status() === 'up';
  const isPressed = (): boolean =>
    !isUp() ||
    store.isFull ||
    unacknowledged.size > limits.maxUnacknowledgedMessages ||
    unacknowledgedBytes > limits.maxUnacknowledgedBytes;

  function refresh(): void {
    const now = status();
    if (now !== lastStatus) {
      lastStatus = now;
      for (const listener of statusListeners) listener(now);
    }
    const pressed = isPressed();
    if (pressed === lastPressed) return;
    lastPressed = pressed;
    for (const listener of pressureListeners) listener(pressed);
  }

  function checkSize(payload: Uint8Array): void {
    if (payload.byteLength <= broker.maxPayloadBytes) return;
    throw new HydrogenError(
      'HYD_MESSAGE_TOO_LARGE',
      `${payload.byteLength} bytes, the bus takes ${broker.maxPayloadBytes}`,
    );
  }

  function checkUp(): void {
    if (!isUp()) throw new HydrogenError('HYD_BUS_UNREACHABLE');
  }

  const hear = (payload: Uint8Array): void => {
    if (isUp()) for (const listener of broadcastListeners) listener(payload);
  };

  store.onChange(() => {
    if (phase !== 'stopped') refresh();
    if (phase === 'started') for (const listener of consumerListeners) listener();
  });

  return {
    get status() {
      return status();
    },
    onStatus: (listener) => void statusListeners.push(listener),
    start: async () => {
      if (phase !== 'new') return;
      phase = 'started';
      broker.broadcasts.add(hear);
      store.wake();
    },
    stop: async () => {
      if (phase === 'stopped') return;
      phase = 'stopped';
      for (const detach of members.values()) detach();
      for (const [id, handler] of broker.handlers) if (handler.isUp === isUp) broker.handlers.delete(id);
      broker.broadcasts.delete(hear);
      leases.abandon(isUp);
      store.withdraw((pending) => unacknowledged.has(pending));
      for (const reject of [...unacknowledged.values(), ...buried]) reject(new HydrogenError('HYD_BUS_STOPPED'));
      unacknowledged.clear();
      buried.clear();
      unacknowledgedBytes = 0;
      for (const done of settled) done();
      refresh();
    },

    messages: {
      maxPayloadBytes: broker.maxPayloadBytes,
      get isPressed() {
        return isPressed();
      },
      get unacknowledged() {
        return { messages: unacknowledged.size, bytes: unacknowledgedBytes };
      },
      onPressure: (listener) => void pressureListeners.push(listener),
      flush: async (timeoutMs) => {
        if (unacknowledged.size > 0) {
          await new Promise<void>((resolve) => {
            const timer = setTimeout(resolve, timeoutMs);
            settled.add(() => {
              clearTimeout(timer);
              resolve();
            });
          });
        }
        return [...new Set(Array.from(unacknowledged.keys(), (pending) => pending.message.connectionId))];
      },
      publish: async (message) => {
        if (phase === 'stopped') throw new HydrogenError('HYD_BUS_STOPPED');
        checkSize(message.payload);
        subjects.clientMessage(message.endpoint, message.connectionId);
        const bytes = message.payload.byteLength;
        await new Promise<void>((resolve, reject) => {
          const pending: Pending = {
            message,
            isReachable: isUp,
            onStored: () => {
              unacknowledged.delete(pending);
              unacknowledgedBytes -= bytes;
              resolve();
              if (unacknowledged.size === 0) for (const done of settled) done();
              refresh();
            },
          };
          unacknowledged.set(pending, reject);
          unacknowledgedBytes += bytes;
          store.offer(pending);
          refresh();
        });
      },
      isConsumed: (endpoint) => store.isConsumed(endpoint),
      onConsumers: (listener) => void consumerListeners.push(listener),

      consume: (consumerOptions, onDelivery) => {
        checkedName(consumerOptions.processor);
        const consumer = store.consumer(consumerOptions);
        const member: Member = {
          maxInFlight: consumerOptions.maxInFlight,
          onDelivery,
          isReachable: isUp,
          isHeard: () => phase !== 'stopped',
          open: 0,
        };
        const detach = (): void => consumer.detach(member);
        members.set(member, detach);
        consumer.attach(member);
        return {
          get isReady() {
            return isUp() && members.has(member);
          },
          lag: async () => (isUp() ? consumer.lag() : undefined),
          stop: async () => {
            members.delete(member);
            detach();
          },
        };
      },
    },
    deadLetters: {
      store: async (processor, message, attempts, cause) => {
        if (phase === 'stopped') throw new HydrogenError('HYD_BUS_STOPPED');
        checkedName(processor);
        await new Promise<void>((resolve, reject) => {
          buried.add(reject);
          store.bury(letterOf(message, attempts, cause), processor, isUp, () => {
            buried.delete(reject);
            resolve();
          });
        });
      },
      of: (processor) => {
        checkedName(processor);
        return {
          list: async (limit, afterSequence = 0) => {
            checkUp();
            const letters = Array.from(store.letters(processor).values());
            return letters.filter((letter) => letter.sequence > afterSequence).slice(0, limit);
          },
          get: async (sequence) => {
            checkUp();
            return store.letters(processor).get(sequence);
          },
          replay: async (sequence) => {
            checkUp();
            return store.replay(processor, sequence);
          },
          remove: async (sequence) => {
            checkUp();
            return store.unbury(processor, sequence);
          },
          purge: async () => {
            checkUp();
            const sequences = Array.from(store.letters(processor).keys());
            return sequences.filter((sequence) => store.unbury(processor, sequence)).length;
          },
        };
      },
    },

    peers: {
      maxPayloadBytes: broker.maxPayloadBytes,
      serve: (instanceId, handle) => {
        subjects.instance(instanceId);
        broker.handlers.set(instanceId, { isUp, handle });
      },
      request: async (instanceId, payload, timeoutMs): Promise<PeerAnswer> => {
        subjects.instance(instanceId);
        checkSize(payload);
        if (!isUp()) return { kind: 'down' };
        const handler = broker.handlers.get(instanceId);
        if (handler === undefined || !handler.isUp()) return { kind: 'nobody' };
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<PeerAnswer>((resolve) => {
          timer = setTimeout(resolve, timeoutMs, { kind: 'timeout' });
        });
        const answer = handler.handle(payload).then((body): PeerAnswer => ({ kind: 'answer', payload: body }));
        return Promise.race([answer, late]).finally(() => clearTimeout(timer));
      },
      broadcast: (payload) => {
        checkSize(payload);
        checkUp();
        setImmediate(() => {
          for (const listener of broker.broadcasts) listener(payload);
        });
      },
      onBroadcast: (listener) => void broadcastListeners.push(listener),
    },

    leases: {
      hold: (instanceId, onLost) => {
        subjects.instance(instanceId);
        return leases.hold(instanceId, isUp, onLost);
      },
      isHeld: async (instanceId) => {
        subjects.instance(instanceId);
        return isUp() ? leases.isHeld(instanceId) : undefined;
      },
    },
  };
}
