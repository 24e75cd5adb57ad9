/**
 * Open loop: messages are sent on a schedule, whether or not earlier ones were answered, and each is timed from the moment
 * at which it was due. So a stall shows as latency of every message that it holds up, and not as fewer messages.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { closeClients, type LoadClient, openClients } from '../load/client.ts';
import { Conversation, repeatedAnswers } from '../load/conversation.ts';
import { Latencies } from '../load/histogram.ts';
import type { Figures, Round } from './scenario.ts';
import { measureWork } from './window.ts';

export interface OpenLoop {
  readonly connections: number;
  readonly bytes: number;
  /** Messages per second of all connections. */
  readonly rate: number;
  /** Clients that send texts that the destination answers after two seconds. Not part of the figures. */
  readonly slow?: { readonly connections: number; readonly rate: number };
}

/** How long answers are waited for after the last message. */
const patienceMs = 3_000;
/** The same for slow ones, so that the next round does not begin with their rest. */
const slowPatienceMs = 10_000;
const pollMs = 20;

/** Sends on a schedule of its own, in turn over its clients. */
class Schedule {
  readonly conversations: readonly Conversation[];
  readonly #intervalMs: number;
  readonly #startMs = performance.now();
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(conversations: readonly Conversation[], rate: number) {
    this.conversations = conversations;
    this.#intervalMs = 1000 / rate;
    if (conversations.length > 0) this.#timer = setInterval(() => this.#sendDue(), 1);
  }

  get sent(): number {
    return this.#sent;
  }

  get isAnswered(): boolean {
    return this.conversations.every((one) => one.isAnswered);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async answered(withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!this.isAnswered && performance.now() < deadline) await sleep(pollMs);
  }

  #sendDue(): void {
    for (;;) {
      const dueMs = this.#startMs + this.#sent * this.#intervalMs;
      if (dueMs > performance.now()) return;
      this.conversations[this.#sent % this.conversations.length]?.send(dueMs);
      this.#sent += 1;
    }
  }
}

/** @throws when an answer is wrong or a connection ends */
export async function measureOpenLoop(round: Round, loop: OpenLoop): Promise<Figures> {
  const { connections, bytes, rate, slow = { connections: 0, rate: 1 } } = loop;
  const latencies = new Latencies();
  const clients = await openClients(round.path, connections + slow.connections);
  const broken = brokenBy(clients);
  let windowMs = Number.POSITIVE_INFINITY;
  /** Of all messages: those of a queue from before the window cost time in it. */
  let answers = 0;
  const onAnswer = (sinceMs: number): void => {
    answers += 1;
    if (sinceMs >= windowMs) latencies.record(performance.now() - sinceMs);
  };
  const fastOnes = clients.slice(0, connections).map((client) => new Conversation(client, { bytes, onAnswer }));
  const slowOnes = clients
    .slice(connections)
    .map((client) => new Conversation(client, { bytes, prefix: 'slow.', onAnswer: () => undefined }));
  const [fast, slowly] = [new Schedule(fastOnes, rate), new Schedule(slowOnes, slow.rate)];
  const stop = (): void => {
    for (const one of [fast, slowly]) one.stop();
  };
  try {
    await Promise.race([sleep(round.warmUpSeconds * 1000), broken]);
    windowMs = performance.now();
    const [before, answersBefore] = [fast.sent, answers];
    let offered = 0;
    const figures = await measureWork(round, async () => {
      await Promise.race([sleep(round.seconds * 1000), broken]);
      offered = fast.sent - before;
      return answers - answersBefore;
    });
    stop();
    await Promise.race([fast.answered(patienceMs), broken]);
    const answered = latencies.count;
    // Those without an answer count with the time that they have waited: the true figure is higher.
    const nowMs = performance.now();
    for (const one of fastOnes) for (const due of one.unanswered) if (due >= windowMs) latencies.record(nowMs - due);
    await Promise.race([slowly.answered(slowPatienceMs), broken]);
    const more = { 'answered %': Math.min(100, (100 * answered) / offered), ...repeatedAnswers(fastOnes) };
    return { ...figures, p50Ms: latencies.percentile(50), p99Ms: latencies.percentile(99), more };
  } finally {
    stop();
    await closeClients(clients);
  }
}

function brokenBy(clients: readonly LoadClient[]): Promise<never> {
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined); // whoever races with it reports it
  for (const client of clients) client.onBroken = broken.reject;
  return broken.promise;
}
