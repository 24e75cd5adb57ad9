/** What connections cost: opening many at once, and holding many that do nothing. */

import { setTimeout as sleep } from 'node:timers/promises';
import { closeClients, type LoadClient, openClients } from '../load/client.ts';
import type { Figures, Round } from './scenario.ts';
import { measureWork, residentBytes } from './window.ts';

/** Connects that wait for their answer at the same time. */
const stormAtOnce = 32;
/** Memory is read once collections and buffers of the opening are over, or this time is. */
const settleMs = 3_000;

/** Opens connections, `stormAtOnce` at a time, for the length of the window. One that is refused fails the measurement. */
export async function measureConnectStorm(round: Round): Promise<Figures> {
  const clients: LoadClient[] = [];
  const latenciesMs: number[] = [];
  const storm = async (seconds: number, isCounted: boolean): Promise<number> => {
    const endMs = performance.now() + seconds * 1000;
    let opened = 0;
    const openInTurn = async (): Promise<void> => {
      while (performance.now() < endMs) {
        const startMs = performance.now();
        const [client] = await openClients(round.path, 1, clients.length + opened);
        if (client !== undefined) clients.push(client);
        if (isCounted) latenciesMs.push(performance.now() - startMs);
        opened += 1;
      }
    };
    await Promise.all(Array.from({ length: stormAtOnce }, openInTurn));
    return opened;
  };
  try {
    await storm(round.warmUpSeconds, false);
    const figures = await measureWork(round, () => storm(round.seconds, true));
    latenciesMs.sort((a, b) => a - b);
    const quantile = (share: number): number => latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0;
    return { ...figures, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
  } finally {
    await closeClients(clients);
  }
}

/** Resident memory that each idle connection adds, to all processes of the system. */
export async function measureIdle(round: Round, connections: number): Promise<Figures> {
  // Code and buffers that the first connections need are not what a connection holds.
  const first = await openClients(round.path, 200);
  await sleep(settleMs / 3);
  const before = total(residentBytes(round.path.processes));
  let clients: LoadClient[] = [];
  try {
    const figures = await measureWork(round, async () => {
      clients = await openClients(round.path, connections, first.length);
      return connections;
    });
    await sleep(settleMs);
    const resident = residentBytes(round.path.processes);
    const more = { 'kB/connection': (total(resident) - before) / connections / 1000 };
    return { ...figures, residentBytes: resident, more };
  } finally {
    for (const client of [...first, ...clients]) client.drop();
    await sleep(settleMs / 3);
  }
}

function total(bytes: Readonly<Record<string, number>>): number {
  return Object.values(bytes).reduce((sum, one) => sum + one, 0);
}
