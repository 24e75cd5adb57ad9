/**
 * An upgrade and a rollback under load, with the processes of both releases beside one another:
 * `node test/fault/upgrade/run.ts --from COMMIT [--ordered] [--clients 40] [--every 50] [--seconds 5]`. Not part of `npm test`, because it
 * needs the history of the repository. Exits with 1 when a message is lost or becomes a dead letter, an entry is left unread,
 * or with `--ordered`, a message is first tried after a later one of its connection before the rollback begins: a release
 * without lanes does not wait for what lanes have open.
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
    ordered: { type: 'boolean', default: false },
    every: { type: 'string', default: '50' },
  },
});
if (values.from === undefined) throw new Error('--from COMMIT is missing: the release to upgrade from');
const stageMs = Number(values.seconds) * 1000;
const subjects = createSubjects(busGroup('default', 'upgrade'));

await using older = await checkOut(values.from);
await using server = await startNats();
const received = new Map<string, number>();
/** By connection, the last message that was tried. */
const tried = new Map<string, number>();
const seen = new Set<number>();
const overtaken: string[] = [];
const stages: string[] = [];
let requests = 0;
await using destination = await startDestination((request) => {
  requests += 1;
  const body = request.json();
  const name = String(body.message);
  noteFirst(String(body.connection_id), Number(name.slice(1)));
  // Some attempts fail, so that messages are parked while releases change.
  if (requests % 50 === 0) return { status: 503 };
  received.set(name, (received.get(name) ?? 0) + 1);
  return undefined;
});
const delivery = values.ordered ? { ordering: 'PerConnection' } : {};
await using fleet = new Fleet(server.url, destination.url, older.command, delivery);
await using connection = await disposable(await connectNats({ servers: server.url }));
const manager = await connection.nats.jetstreamManager();
const entrySubjects = `${subjects.allClientMessages.slice(0, -1)}e.>`;
let entries = 0;
connection.nats.subscribe(entrySubjects, {
  callback: () => {
    entries += 1;
  },
});

for (let n = 0; n < 2; n++) fleet.processors.push(await fleet.startProcessor('old'));
for (let n = 0; n < 2; n++) fleet.gateways.push(await fleet.startGateway('old'));
const crowd = new Senders(Number(values.every));
for (const gateway of fleet.gateways) await crowd.join(gateway, Number(values.clients) / 2);
crowd.start();

await stage('all old');
await change('new');
await stage('all new');
const overtakenBefore = overtaken.length;
await change('old');
await stage('all old again');
crowd.stop();
const isDone = (): boolean => crowd.sent.every((name) => received.has(name));
await eventually(isDone, { timeoutMs: 60_000, everyMs: 100 }).catch(() => {});
await crowd.leave();

const lost = crowd.sent.filter((name) => !received.has(name));
const repeated = crowd.sent.filter((name) => (received.get(name) ?? 0) > 1);
const letters = (await manager.streams.info(subjects.deadLetterStream)).state.messages;
const { state } = await manager.streams.info(subjects.stream, { subjects_filter: entrySubjects });
const unread = Object.keys(state.subjects ?? {}).length;
console.log({
  sent: crowd.sent.length,
  lost: lost.length,
  repeated: repeated.length,
  letters,
  entries,
  unread,
  overtaken: { upgrade: overtakenBefore, rollback: overtaken.length - overtakenBefore },
});
if (values.ordered && overtaken.length > 0) console.log(overtaken.slice(0, 20).join('\n'));
for (const gateway of fleet.gateways.splice(0)) await end(gateway);
for (const processor of fleet.processors.splice(0)) await end(processor);
const isDisordered = values.ordered && overtakenBefore > 0;
process.exitCode = lost.length + letters + unread > 0 || entries === 0 || isDisordered ? 1 : 0;

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
  console.log(`${name.padEnd(20)} sent ${crowd.sent.length}  received ${received.size}  entries ${entries}`);
  stages.push(name);
}

/** A request for a message. */
function noteFirst(connectionId: string, number: number): void {
  const last = tried.get(connectionId) ?? -1;
  const isFirst = !seen.has(number);
  seen.add(number);
  if (isFirst && number < last) overtaken.push(`after ${stages.at(-1)}: ${number} after ${last} of ${connectionId}`);
  tried.set(connectionId, Math.max(last, number));
}

async function disposable(nats: NatsConnection): Promise<AsyncDisposable & { readonly nats: NatsConnection }> {
  return { nats, [Symbol.asyncDispose]: () => nats.close() };
}
