/** A worker on the memory bus, with all of its events recorded. */

import assert from 'node:assert/strict';
import type { Header } from '../../../crds/index.ts';
import { createMemoryBroker, type MemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { ClientMessage } from '../../../runtime/bus/port/client-message.ts';
import type { DeadLetterBus } from '../../../runtime/bus/port/dead-letters.ts';
import type { Delivery, MessageBus } from '../../../runtime/bus/port/messages.ts';
import type { HydrogenError } from '../../../runtime/errors.ts';
import type { CircuitOptions } from '../../../runtime/processor/circuit.ts';
import type { PushReply } from '../../../runtime/processor/reply-lines.ts';
import type { ProcessorResource } from '../../../runtime/processor/settings.ts';
import { Worker, type WorkerDeps } from '../../../runtime/processor/worker.ts';
import type {
  DeliveryFacts,
  FailureFacts,
  ReplyOutcome,
  RetryFacts,
  WorkerEvents,
} from '../../../runtime/role/events.ts';
import { eventually } from '../../kit/eventually.ts';
import { replaced } from '../../kit/replaced.ts';

type Spec = ProcessorResource['spec'];
export type SpecOverrides = Partial<Omit<Spec, 'delivery'>> & { readonly delivery?: Partial<Spec['delivery']> };

export interface Recorded {
  readonly consumed: DeliveryFacts[];
  readonly retried: RetryFacts[];
  readonly deadLettered: FailureFacts[];
  readonly dropped: DeliveryFacts[];
  /** Outcomes of replies that were not sent. */
  readonly repliesLost: ReplyOutcome[];
  /** `<destination> <state>` */
  readonly circuits: string[];
  readonly problems: HydrogenError[];
}

export interface TestProcessor extends AsyncDisposable {
  readonly worker: Worker;
  readonly bus: Bus;
  readonly recorded: Recorded;
  /** What was sent to clients. */
  readonly pushed: { connectionId: string; data: string; isBinary: boolean }[];
  /** `working()` calls per message id. */
  readonly worked: Map<string, number>;
  /** Publishes a text message and resolves with its id once it is stored. */
  send(connectionId: string, text: string): Promise<string>;
  /** Hands over a delivery as the bus does. */
  deliver(delivery: Delivery): void;
  reconfigure(overrides: SpecOverrides): Promise<void>;
  /** Messages that the bus still keeps. */
  stored(): number;
}

export interface StartOptions {
  readonly spec?: SpecOverrides;
  readonly push?: PushReply;
  readonly resolveHeaders?: WorkerDeps['resolveHeaders'];
  /** Default: one of its own. */
  readonly broker?: MemoryBroker;
  readonly circuit?: CircuitOptions;
  readonly letterRetryMs?: number;
  /** Holds up storing dead letters. */
  readonly deadLetterAfter?: Promise<void>;
}

export const processorName = 'chat';

/** All messages to one URL; back-off in the milliseconds. */
export function resourceOf(url: string, overrides: SpecOverrides = {}): ProcessorResource {
  const { delivery, ...spec } = overrides;
  return {
    metadata: { name: processorName },
    spec: {
      routing: routingTo(url),
      ...spec,
      delivery: {
        maxAttempts: 3,
        ackTimeoutSeconds: 30,
        takeoverSeconds: 5,
        backoffSeconds: [0.01],
        maxInFlight: 16,
        maxWaitSeconds: 3600,
        ordering: 'Unordered',
        partitions: 64,
        ...delivery,
      },
    },
  };
}

export function routingTo(
  url: string,
  destination: Partial<{ timeoutSeconds: number; reply: boolean; headers: readonly Header[] }> = {},
  pattern = '.*',
): Spec['routing'] {
  const rule = {
    name: 'all',
    pattern,
    destination: { url, headers: [], timeoutSeconds: 10, reply: false, ...destination },
  };
  return { rules: [rule], unmatched: 'DeadLetter' };
}

export async function startProcessor(url: string, options: StartOptions = {}): Promise<TestProcessor> {
  const { broker = createMemoryBroker(), circuit, letterRetryMs } = options;
  const bus = broker.connect();
  await bus.start();
  const worked = new Map<string, number>();
  const recorded: Recorded = {
    consumed: [],
    retried: [],
    deadLettered: [],
    dropped: [],
    repliesLost: [],
    circuits: [],
    problems: [],
  };
  const pushed: TestProcessor['pushed'] = [];
  const watching = watched(bus, worked, options.deadLetterAfter);
  const worker = new Worker(resourceOf(url, options.spec), {
    bus: watching.bus,
    resolveHeaders: options.resolveHeaders ?? ((headers) => headers.flatMap(({ name, value = '' }) => [name, value])),
    push:
      options.push ??
      (async (connectionId, data, isBinary) => {
        pushed.push({ connectionId, data: Buffer.from(data).toString(), isBinary });
        return 'sent';
      }),
    events: recorder(recorded),
    ...(circuit && { circuit }),
    ...(letterRetryMs && { letterRetryMs }),
  });
  worker.start();
  await eventually(() => worker.isReady);
  let sent = 0;

  return {
    worker,
    bus,
    recorded,
    pushed,
    worked,
    send: async (connectionId, text) => {
      const message = clientMessageOf(`message-${++sent}`, connectionId, text);
      await bus.messages.publish(message);
      return message.id;
    },
    deliver: watching.deliver,
    reconfigure: (overrides) => worker.reconfigure(resourceOf(url, overrides)),
    stored: () => broker.stored.messages,
    [Symbol.asyncDispose]: async () => {
      await worker.stop({ graceMs: 0 });
      await bus.stop();
    },
  };
}

export function clientMessageOf(id: string, connectionId: string, text: string): ClientMessage {
  const document = { connection_id: connectionId, endpoint: '/chat', message: text, message_encoding: 'text' };
  const payload = Buffer.from(JSON.stringify(document));
  return { id, connectionId, endpoint: '/chat', callbackUrl: 'http://gateway.test:8081', payload };
}

/** The texts that a destination got, in order. */
export function textsOf(requests: readonly { json(): Record<string, unknown> }[]): string[] {
  return requests.map((request) => {
    const { message } = request.json();
    assert(typeof message === 'string');
    return message;
  });
}

function recorder(recorded: Recorded): WorkerEvents {
  return {
    consumed: (facts) => recorded.consumed.push(facts),
    retried: (facts) => recorded.retried.push(facts),
    deadLettered: (facts) => recorded.deadLettered.push(facts),
    dropped: (facts) => recorded.dropped.push(facts),
    replied: (_facts, outcome) => {
      if (outcome !== 'sent') recorded.repliesLost.push(outcome);
    },
    circuitChanged: (destination, state) => recorded.circuits.push(`${destination} ${state}`),
    tookOver: () => {},
    lanesLost: () => {},
    busProblem: (error) => recorded.problems.push(error),
  };
}

/** The same bus, but `working()` is counted and dead letters wait. */
function watched(bus: Bus, worked: Map<string, number>, deadLetterAfter?: Promise<void>) {
  let deliver: (delivery: Delivery) => void = () => assert.fail('nothing is consumed yet');
  const consume: MessageBus['consume'] = (options, onDelivery, onProblem, listener) => {
    deliver = onDelivery;
    return bus.messages.consume(options, (delivery) => onDelivery(counted(delivery, worked)), onProblem, listener);
  };
  const store: DeadLetterBus['store'] = async (...letter) => {
    await deadLetterAfter;
    return bus.deadLetters.store(...letter);
  };
  const messages = replaced(bus.messages, { consume });
  const deadLetters = replaced(bus.deadLetters, { store });
  return {
    bus: replaced(bus, { messages, deadLetters }),
    deliver: (delivery: Delivery) => deliver(delivery),
  };
}

function counted(delivery: Delivery, worked: Map<string, number>): Delivery {
  return replaced(delivery, {
    working: () => {
      worked.set(delivery.id, (worked.get(delivery.id) ?? 0) + 1);
      delivery.working();
    },
  });
}
