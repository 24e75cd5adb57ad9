/**
 * Clients at a steady rate, whoever else sends: each sends on its own schedule whether or not it was answered, so that a
 * stall shows as latency of every message that it holds up, and not as fewer messages.
 */

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface SteadyOptions {
  readonly url: string;
  readonly connections: number;
  /** Messages per second of all connections. */
  readonly rate: number;
  readonly seconds: number;
  /** Seconds after the last message for answers. */
  readonly patienceSeconds: number;
}

export interface Answers {
  readonly sent: number;
  readonly answered: number;
  /** A message that was not answered counts with the time that it has waited: the true figure is higher. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Connections that waited longer than `longWaitMs` for an answer. */
  readonly stalledConnections: number;
  readonly longestMs: number;
  /** p99 of the connections that did not. */
  readonly othersP99Ms: number;
}

const longWaitMs = 1_000;

/** Resolves when every message is answered or the time for that is up. */
export async function sendSteadily(options: SteadyOptions): Promise<Answers> {
  const { url, connections, rate, seconds, patienceSeconds } = options;
  const sockets = await openSockets(url, connections);
  const sentMs = new Map<string, number>();
  /** Of each connection. */
  const latenciesMs = sockets.map((): number[] => []);
  let sent = 0;
  for (const [index, socket] of sockets.entries()) {
    socket.on('message', (data) => {
      const text = data.toString();
      const atMs = sentMs.get(text);
      if (atMs === undefined) return; // a duplicate: delivery is at least once
      sentMs.delete(text);
      latenciesMs[index]?.push(performance.now() - atMs);
    });
  }
  const total = Math.round(rate * seconds);
  const startMs = performance.now();
  for (; sent < total; sent += 1) {
    const waitMs = startMs + (sent * 1000) / rate - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const text = `good ${sent}`;
    sentMs.set(text, performance.now());
    sockets[sent % sockets.length]?.send(text);
  }
  const deadlineMs = performance.now() + patienceSeconds * 1000;
  while (sentMs.size > 0 && performance.now() < deadlineMs) await sleep(20);
  const answered = sent - sentMs.size;
  for (const [text, atMs] of sentMs) {
    latenciesMs[Number(text.split(' ')[1]) % sockets.length]?.push(performance.now() - atMs);
  }
  for (const socket of sockets) socket.terminate();
  return { sent, answered, ...summaryOf(latenciesMs) };
}

function summaryOf(latenciesMs: readonly (readonly number[])[]): Omit<Answers, 'sent' | 'answered'> {
  const others = latenciesMs.filter((one) => one.every((ms) => ms <= longWaitMs));
  const [all, rest] = [latenciesMs, others].map((some) => some.flat().sort((a, b) => a - b));
  return {
    p50Ms: quantile(all ?? [], 0.5),
    p99Ms: quantile(all ?? [], 0.99),
    stalledConnections: latenciesMs.length - others.length,
    longestMs: all?.at(-1) ?? Number.NaN,
    othersP99Ms: quantile(rest ?? [], 0.99),
  };
}

export async function openSockets(url: string, count: number): Promise<WebSocket[]> {
  const sockets = Array.from({ length: count }, () => new WebSocket(url, { perMessageDeflate: false }));
  for (const socket of sockets) socket.on('error', () => socket.terminate());
  await Promise.all(sockets.map((socket) => once(socket, 'open')));
  return sockets;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
