/**
 * A backlog: clients send while no processor runs, and close; a close that is answered with 1000 means that everything
 * is stored. Then one processor delivers it all. The destination counts which texts have come.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { SeenTexts } from '../destination/answers.ts';
import { type LoadClient, openClients } from '../load/client.ts';
import type { Figures, Round } from './scenario.ts';
import { measureWork } from './window.ts';

export interface BacklogWork {
  readonly connections: number;
  /** Of all connections. */
  readonly messages: number;
  readonly bytes: number;
}

/** The longest that the backlog may take to be delivered. */
const drainMs = 120_000;
const pollMs = 50;

/** @throws when a message is not delivered, or a client is not answered with 1000 */
export async function measureBacklog(round: Round, backlog: BacklogWork): Promise<Figures> {
  const { path, urls } = round;
  if (path.processor === undefined) throw new Error('this system has no processor to stop');
  const clients = await openClients(path, backlog.connections);
  await path.processor.stop();
  await seen(urls.destination, '/seen/reset');
  const startMs = performance.now();
  await Promise.all(clients.map((client) => fill(client, backlog)));
  const storedSeconds = (performance.now() - startMs) / 1000;
  await path.processor.start();
  // What a process costs to start is not what a delivery costs.
  const before = await delivered(urls.destination, backlog.messages / 10);
  let after = before;
  const figures = await measureWork(round, async () => {
    after = await delivered(urls.destination, backlog.messages);
    return after.different - before.different;
  });
  const rate = (after.different - before.different) / ((after.lastMs - before.lastMs) / 1000);
  return { ...figures, rate, more: { 'stored/s': backlog.messages / storedSeconds, repeated: after.repeated } };
}

async function fill(client: LoadClient, { connections, messages, bytes }: BacklogWork): Promise<void> {
  const broken = Promise.withResolvers<never>();
  client.onBroken = broken.reject;
  for (let count = 0; count < messages / connections; count += 1) {
    client.send(`${client.index}.${count}.`.padEnd(bytes, 'x'));
  }
  const code = await Promise.race([client.close(), broken.promise]);
  if (code !== 1000) throw new Error(`connection ${client.index} was closed with ${code}: not everything is stored`);
}

/** Resolves once this many have come. */
async function delivered(url: string, messages: number): Promise<SeenTexts> {
  const deadline = performance.now() + drainMs;
  for (;;) {
    const now = await seen(url, '/seen');
    if (now.different >= messages) return now;
    if (performance.now() > deadline) throw new Error(`only ${now.different} of ${messages} messages were delivered`);
    await sleep(pollMs);
  }
}

async function seen(url: string, path: string): Promise<SeenTexts> {
  return (await (await fetch(url + path)).json()) as SeenTexts;
}
