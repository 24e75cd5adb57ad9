/**
 * One processor's share of the stream in this process. It sees to streams and durable consumers, pulls from one lane
 * (unordered) or one per partition share (ordered, one delivery at a time each), and hands messages out while fewer than
 * `maxInFlight` are open. When there are more lanes than that, a message may arrive with no room; it waits here and is
 * kept alive.
 *
 * Who starts last decides the shape (ordering, number of lanes) of a processor's consumers; replicas that already run
 * use what they then find. Replicas of different settings meet only while a change is rolled out.
 */

import type { ConsumerInfo, Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { ConsumerOptions, Consumption, Delivery } from '../port/messages.ts';
import type { Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import { type DeliveryOwner, type Received, readDelivery } from './delivery.ts';
import { ensureConsumers, type Lanes } from './durables.ts';
import { createPuller, type Puller } from './pull.ts';
import { JetStreamError, type Requests } from './requests.ts';
import {
  type Conflict,
  clientStream,
  type DeadLetterOptions,
  deadLetterStream,
  ensureStream,
  type StreamOptions,
} from './streams.ts';
import { parseAckSubject, receivedHeaders } from './wire.ts';

export interface ConsumerDeps {
  readonly link: Link;
  readonly requests: Requests;
  readonly subjects: Subjects;
  readonly stream: StreamOptions;
  readonly deadLetter: DeadLetterOptions;
  /** Publishes the end of a delivery now, or keeps it until the link is up. */
  readonly answer: (reply: string, payload: Uint8Array, isFinal: boolean) => void;
}

interface Lane {
  readonly name: string;
  readonly puller: Puller;
  /** Deliveries of an ordered lane that are open or wait here. */
  busy: number;
}

const sweepMs = 1000;
/** An ordered lane is asked for several: the server gives the next one only when the last one has ended. */
const orderedBatch = 16;
const firstRetryMs = 50;
const maxRetryMs = 2000;

export function createConsumption(
  deps: ConsumerDeps,
  options: ConsumerOptions,
  inboxPrefix: string,
  onDelivery: (delivery: Delivery) => void,
  onProblem: (error: HydrogenError) => void,
): Consumption {
  const { link, requests, subjects } = deps;
  const waiting = new Fifo<Received>();
  const opens = new Set<Received>();
  const reported = new Set<string>();
  let lanes = new Map<string, Lane>();
  let isOrdered = false;
  let isReady = false;
  let isStopped = false;
  let isEnsuring = false;
  let hasRun = false;
  let retryMs = firstRetryMs;
  let retryTimer: NodeJS.Timeout | undefined;
  let epoch = 0;

  let inbox = `${inboxPrefix}.${epoch}`;
  let subscription = link.subscribe(`${inbox}.*`, hear);
  const sweeper = setInterval(sweep, sweepMs);

  const owner: DeliveryOwner = {
    answer: deps.answer,
    ended: close,
  };

  function close(received: Received): void {
    if (!opens.delete(received)) return;
    const lane = lanes.get(received.consumer);
    if (lane !== undefined && lane.busy > 0) lane.busy--;
    handOut();
    if (isScarce()) fill();
    else if (lane !== undefined) fillLane(lane);
  }

  // Fewer deliveries may be open than there are ordered lanes: lanes must take turns.
  function isScarce(): boolean {
    return isOrdered && options.maxInFlight < lanes.size;
  }

  async function ensure(): Promise<void> {
    if (isEnsuring || isStopped || !link.isUp) return;
    isEnsuring = true;
    isReady = false;
    try {
      const conflicts = [
        ...(await ensureStream(requests, clientStream(subjects, deps.stream))),
        ...(await ensureStream(requests, deadLetterStream(subjects, deps.stream, deps.deadLetter))),
      ];
      reportAll(conflicts);
      adopt(await ensureConsumers(requests, subjects, options, hasRun));
      hasRun = true;
    } catch (cause) {
      reportFailure(cause);
      retryLater();
    }
    isEnsuring = false;
    fill();
  }

  function retryLater(): void {
    clearTimeout(retryTimer);
    if (isStopped) return;
    retryTimer = setTimeout(() => void ensure(), retryMs * (0.5 + Math.random() / 2));
    retryMs = Math.min(maxRetryMs, retryMs * 2);
  }

  // JetStream needs a moment after its server is up, so what may pass is told only when it does not.
  function reportFailure(cause: unknown): void {
    const what = `consumer ${options.processor}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (cause instanceof JetStreamError && !cause.isTransient) {
      report(new HydrogenError('HYD_STREAM_CONFLICT', what, { cause }));
    } else if (link.isUp && retryMs >= maxRetryMs / 4) {
      report(new HydrogenError('HYD_BUS_UNREACHABLE', what, { cause }));
    }
  }

  function reportAll(conflicts: readonly Conflict[]): void {
    for (const { object, field, have, want } of conflicts) {
      const detail = `${object}: ${field} is ${JSON.stringify(have)}, wanted ${JSON.stringify(want)}`;
      report(new HydrogenError('HYD_STREAM_CONFLICT', detail));
    }
  }

  // Each problem once: it is found again with every reconnect.
  function report(problem: HydrogenError): void {
    if (isStopped || reported.has(problem.message)) return;
    if (reported.size >= 64) reported.clear();
    reported.add(problem.message);
    onProblem(problem);
  }

  function adopt(found: Lanes): void {
    isOrdered = found.isOrdered;
    lanes = new Map(
      found.names.map((name) => {
        const known = lanes.get(name);
        known?.puller.forget();
        const puller = createPuller(link, subjects.stream, name, () => `${inbox}.${name}`);
        return [name, known ?? { name, puller, busy: 0 }];
      }),
    );
    renewInbox();
    isReady = true;
  }

  // What was asked for under the old inbox is void: the server drops requests that nobody listens for.
  function renewInbox(): void {
    void subscription.drain();
    inbox = `${inboxPrefix}.${++epoch}`;
    subscription = link.subscribe(`${inbox}.*`, hear);
    for (const lane of lanes.values()) lane.puller.forget();
  }

  function fill(): void {
    if (!isReady || !link.isUp) return;
    for (const lane of lanes.values()) {
      if (isScarce() && opens.size + waiting.length >= options.maxInFlight) return;
      fillLane(lane);
    }
  }

  function fillLane(lane: Lane): void {
    if (isStopped || !isReady) return;
    if (isScarce()) lane.puller.pull(1 - lane.busy);
    else lane.puller.pull(isOrdered ? orderedBatch : options.maxInFlight - opens.size - waiting.length);
  }

  function hear(msg: Msg): void {
    const reply = msg.reply;
    const block = receivedHeaders(msg);
    const ack = parseAckSubject(reply);
    if (reply === undefined || ack === undefined) {
      hearStatus(msg.subject, block);
      return;
    }
    retryMs = firstRetryMs;
    const lane = lanes.get(ack.consumer);
    lane?.puller.count();
    const received = readDelivery(msg, ack, reply, block, subjects, owner);
    if (received instanceof HydrogenError) {
      deps.answer(reply, Buffer.from('+TERM unreadable'), true);
      report(received);
    } else if (received.replayFor !== undefined && received.replayFor !== options.processor) {
      deps.answer(reply, Buffer.from('+ACK'), true);
    } else if (isStopped) {
      received.delivery.nak(0);
    } else {
      if (lane !== undefined) lane.busy++;
      waiting.push(received);
      handOut();
    }
    if (lane !== undefined) fillLane(lane);
  }

  function handOut(): void {
    while (!isStopped && opens.size < options.maxInFlight) {
      const received = waiting.shift();
      if (received === undefined) return;
      opens.add(received);
      received.aliveAtMs = performance.now();
      onDelivery(received.delivery);
    }
  }

  function hearStatus(subject: string, block: string): void {
    const lane = lanes.get(subject.slice(subject.lastIndexOf('.') + 1));
    if (lane === undefined || isStopped || !subject.startsWith(`${inbox}.`)) return;
    const trouble = lane.puller.hear(block);
    if (trouble === undefined) {
      retryMs = firstRetryMs;
      fillLane(lane);
    } else {
      isReady = false;
      retryLater();
    }
  }

  function sweep(): void {
    const now = performance.now();
    // The server delivers again what was silent for too long, so it takes no more room here.
    for (const received of opens) if (now - received.aliveAtMs > options.ackTimeoutMs) close(received);
    const held = waiting.drain();
    for (const received of held) {
      if (now - received.aliveAtMs > options.ackTimeoutMs / 3) received.delivery.working();
      waiting.push(received);
    }
    if (!isReady || !link.isUp) return;
    for (const lane of lanes.values()) {
      if (!lane.puller.isSilent(now)) continue;
      renewInbox();
      void ensure();
      return;
    }
    fill();
  }

  link.onStatus((status) => {
    isReady = false;
    for (const lane of lanes.values()) lane.puller.forget();
    if (status === 'up') void ensure();
  });
  void ensure();

  return {
    get isReady() {
      return isReady && !isStopped && link.isUp;
    },
    lag: async () => {
      if (!link.isUp) return undefined;
      try {
        const infos = await Promise.all(
          Array.from(lanes.keys(), (name) => requests.api<ConsumerInfo>(`CONSUMER.INFO.${subjects.stream}.${name}`)),
        );
        return {
          pending: infos.reduce((sum, info) => sum + info.num_pending, 0),
          unacknowledged: infos.reduce((sum, info) => sum + info.num_ack_pending, 0),
        };
      } catch {
        // Cut off, or the consumer is gone for the moment: it can't be known.
        return undefined;
      }
    },
    stop: async () => {
      if (isStopped) return;
      isStopped = true;
      clearTimeout(retryTimer);
      clearInterval(sweeper);
      for (const received of waiting.drain()) received.delivery.nak(0);
      await subscription.drain();
    },
  };
}
