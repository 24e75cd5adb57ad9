/**
 * Closed-loop clients: each sends its next message once it has the answer to the last one. The rate is therefore that
 * of the path under test, and no queue in front of it hides latency.
 */

import { once } from 'node:events';
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { BenchProcess } from './processes.ts';

export interface Load {
  readonly connections: number;
  readonly messageBytes: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export interface Measurement {
  /** Answers per second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time per answer of each watched process, and of the clients themselves. */
  readonly cpuMicroseconds: Readonly<Record<string, number>>;
  /** Clients that got no answer in the whole window. */
  readonly silentClients: number;
}

/** Opens the clients, warms up, measures for a window, closes them. @throws when a connection is closed under them. */
export async function measure(url: string, load: Load, watched: readonly BenchProcess[]): Promise<Measurement> {
  const latency = createHistogram();
  const clients = await Promise.all(
    Array.from({ length: load.connections }, (_, index) =>
      openClient(url, index, load.messageBytes, (ns) => latency.record(ns)),
    ),
  );
  const broken = Promise.race(clients.map((client) => client.broken));
  const during = (seconds: number): Promise<void> => Promise.race([sleep(seconds * 1000), broken]);
  try {
    for (const client of clients) client.begin();
    await during(load.warmUpSeconds);

    const answersBefore = clients.map((client) => client.answers());
    const cpuBefore = readCpu(watched);
    const startMs = performance.now();
    latency.reset();
    await during(load.seconds);
    const elapsedSeconds = (performance.now() - startMs) / 1000;
    const cpuAfter = readCpu(watched);
    const answers = clients.map((client, index) => client.answers() - (answersBefore[index] ?? 0));

    const total = answers.reduce((sum, count) => sum + count, 0);
    const perAnswer = Object.keys(cpuAfter).map((name) => [
      name,
      ((cpuAfter[name] ?? 0) - (cpuBefore[name] ?? 0)) / total,
    ]);
    return {
      rate: total / elapsedSeconds,
      p50Ms: latency.percentile(50) / 1e6,
      p99Ms: latency.percentile(99) / 1e6,
      cpuMicroseconds: Object.fromEntries(perAnswer),
      silentClients: answers.filter((count) => count === 0).length,
    };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

interface Client {
  begin(): void;
  answers(): number;
  /** Rejects when the connection ends before `close`. */
  readonly broken: Promise<never>;
  close(): Promise<void>;
}

async function openClient(
  url: string,
  index: number,
  messageBytes: number,
  onAnswer: (latencyNs: number) => void,
): Promise<Client> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  let sequence = 0;
  let expected = '';
  let sentMs = 0;
  let isClosing = false;

  const sendNext = (): void => {
    sequence += 1;
    expected = `${index}.${sequence}.`.padEnd(messageBytes, 'x');
    sentMs = performance.now();
    socket.send(expected);
  };
  const broken = new Promise<never>((_, reject) => {
    socket.on('close', (code, reason) => {
      if (!isClosing) reject(new Error(`connection ${index} was closed with ${code} ${reason}`));
    });
  });
  broken.catch(() => undefined); // reported through the race over all clients; here only so that it is handled

  socket.on('message', (data) => {
    if (isClosing || data.toString() !== expected) return; // a duplicate answer: delivery is at least once
    onAnswer(Math.max(1, Math.round((performance.now() - sentMs) * 1e6)));
    sendNext();
  });
  await once(socket, 'open');
  return {
    begin: sendNext,
    answers: () => sequence - 1,
    broken,
    async close() {
      isClosing = true;
      if (socket.readyState === WebSocket.CLOSED) return;
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

function readCpu(watched: readonly BenchProcess[]): Record<string, number> {
  const { user, system } = process.cpuUsage();
  return Object.fromEntries([
    ...watched.map((each) => [each.name, each.cpuMicroseconds()] as const),
    ['clients', user + system] as const,
  ]);
}
