/**
 * An upgrade and a rollback under load, with the processes of both releases beside one another:
 * `node test/fault/upgrade/run.ts --from COMMIT [--clients 40] [--seconds 5]`. Not part of `npm test`, because it needs the
 * history of the repository. Exits with 1 when a message is lost or becomes a dead letter, or an entry is left unread.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect as connectNats, type NatsConnection } from 'nats';
import { busGroup } from '../../../crds/contract.ts';
import { createSubjects } from '../../../runtime/bus/subjects.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startNats } from '../../kit/nats.ts';
import { checkOut, end, Fleet, type Release } from './fleet.ts';
import { Senders } from './senders.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string' },
    clients: { type: 'string', default: '40' },
    seconds: { type: 'string', default: '5' },
  },
});
if (values.from === undefined) throw new Error('--from COMMIT is missing: the release to upgrade from');
const stageMs = Number(values.seconds) * 1000;
const subjects = createSubjects(busGroup('default', 'upgrade'));

await using older = await checkOut(values.from);
await using server = await startNats();
const received = new Map<string, number>();
let requests = 0;
await using destination = await startDestination((request) => {
  requests += 1;
  // Some attempts fail, so that messages are parked while releases change.
  if (requests % 50 === 0) return { status: 503 };
  const name = String(request.json().message);
  received.set(name, (received.get(name) ?? 0) + 1);
  return undefined;
});
await using fleet = new Fleet(server.url, destination.url, older.command);
await using connection = await disposable(await connectNats({ servers: server.url }));
const manager = await connection.nats.jetstreamManager();

for (let n = 0; n < 2; n++) fleet.processors.push(await fleet.startProcessor('old'));
for (let n = 0; n < 2; n++) fleet.gateways.push(await fleet.startGateway('old'));
const crowd = new Senders(50);
for (const gateway of fleet.gateways) await crowd.join(gateway, Number(values.clients) / 2);
crowd.start();

await stage('all old');
await change('new');
await stage('all new');
const entries = await entriesRead();
await change('old');
await stage('all old again');
crowd.stop();
const isDone = (): boolean => crowd.sent.every((name) => received.has(name));
await eventually(isDone, { timeoutMs: 60_000, everyMs: 100 }).catch(() => {});
await crowd.leave();

const lost = crowd.sent.filter((name) => !received.has(name));
const repeated = crowd.sent.filter((name) => (received.get(name) ?? 0) > 1);
const letters = (await manager.streams.info(subjects.deadLetterStream)).state.messages;
const { num_pending: unread, num_ack_pending: open } = await manager.consumers.info(subjects.stream, 'upgrade_e');
console.log({ sent: crowd.sent.length, lost: lost.length, repeated: repeated.length, letters, entries, unread, open });
for (const gateway of fleet.gateways.splice(0)) await end(gateway);
for (const processor of fleet.processors.splice(0)) await end(processor);
process.exitCode = lost.length + letters + unread + open > 0 || entries === 0 ? 1 : 0;

/** A gateway, a processor, a gateway, a processor. */
async function change(release: Release): Promise<void> {
  for (let index = 0; index < 2; index++) {
    const before = fleet.gateways[index];
    if (before === undefined) throw new Error('there are two gateways');
    const next = await fleet.startGateway(release);
    fleet.gateways[index] = next;
    await crowd.pause(before);
    const ended = end(before);
    await crowd.move(before, next);
    await ended;
    await stage(`gateway ${index} ${release}`);
    await fleet.replaceProcessor(index, release);
    await stage(`processor ${index} ${release}`);
  }
}

async function stage(name: string): Promise<void> {
  await delay(stageMs);
  console.log(
    `${name.padEnd(20)} sent ${crowd.sent.length}  received ${received.size}  entries ${await entriesRead()}`,
  );
}

/** Entries that were delivered to processors so far. */
async function entriesRead(): Promise<number> {
  try {
    return (await manager.consumers.info(subjects.stream, 'upgrade_e')).delivered.consumer_seq;
  } catch {
    // The older release makes no such consumer.
    return 0;
  }
}

async function disposable(nats: NatsConnection): Promise<AsyncDisposable & { readonly nats: NatsConnection }> {
  return { nats, [Symbol.asyncDispose]: () => nats.close() };
}
