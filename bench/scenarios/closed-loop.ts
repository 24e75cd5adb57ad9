/** Closed loop: each client sends its next message once the answer to an earlier one has come. No queue hides latency. */

import { setTimeout as sleep } from 'node:timers/promises';
import { closeClients, openClients } from '../load/client.ts';
import { Conversation, repeatedAnswers } from '../load/conversation.ts';
import { Latencies } from '../load/histogram.ts';
import type { Figures, Round } from './scenario.ts';
import { measureWork } from './window.ts';

export interface ClosedLoop {
  readonly connections: number;
  readonly bytes: number;
  /** Messages of each connection without an answer. @default 1 */
  readonly outstanding?: number;
  /** Answers must come in order, or the measurement fails. @default false */
  readonly isOrdered?: boolean;
}

/** How long the last answers are waited for. */
const patienceMs = 10_000;
const pollMs = 10;

/** @throws when an answer is wrong, a connection ends, or a message gets no answer */
export async function measureClosedLoop(round: Round, loop: ClosedLoop): Promise<Figures> {
  const { connections, bytes, outstanding = 1, isOrdered = false } = loop;
  const latencies = new Latencies();
  const clients = await openClients(round.path, connections);
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined); // `during` reports it
  const during = (seconds: number): Promise<void> => Promise.race([sleep(seconds * 1000), broken.promise]);
  let isOver = false;
  try {
    const conversations = clients.map((client) => {
      client.onBroken = broken.reject;
      const conversation: Conversation = new Conversation(client, {
        bytes,
        isOrdered,
        onAnswer: (sinceMs) => {
          latencies.record(performance.now() - sinceMs);
          if (!isOver) conversation.send();
        },
      });
      return conversation;
    });
    await during(await begin(conversations, outstanding, round.warmUpSeconds));
    latencies.reset();
    const figures = await measureWork(round, async () => {
      await during(round.seconds);
      return latencies.count;
    });
    const timed = { p50Ms: latencies.percentile(50), p99Ms: latencies.percentile(99) };
    isOver = true;
    await Promise.race([allAnswered(conversations), broken.promise]);
    return { ...figures, ...timed, more: repeatedAnswers(conversations) };
  } finally {
    isOver = true;
    await closeClients(clients);
  }
}

/** Starts the clients one after another over half of the warm-up: no burst. Resolves with the seconds left of it. */
async function begin(
  conversations: readonly Conversation[],
  outstanding: number,
  warmUpSeconds: number,
): Promise<number> {
  const startMs = performance.now();
  const intervalMs = (warmUpSeconds * 1000) / 2 / conversations.length;
  for (const [index, one] of conversations.entries()) {
    const waitMs = startMs + index * intervalMs - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    for (let count = 0; count < outstanding; count += 1) one.send();
  }
  return Math.max(0, warmUpSeconds - (performance.now() - startMs) / 1000);
}

async function allAnswered(conversations: readonly Conversation[]): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const silent = conversations.filter((one) => !one.isAnswered).length;
    if (silent === 0) return;
    if (performance.now() > deadline) throw new Error(`${silent} clients got no answer in ${patienceMs / 1000} s`);
    await sleep(pollMs);
  }
}
