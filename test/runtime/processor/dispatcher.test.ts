import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unroutedRoom } from '../../../crds/waiting-rooms.ts';
import type { Delivery, Recalled } from '../../../runtime/bus/port/messages.ts';
import { defaultCircuit } from '../../../runtime/processor/circuit.ts';
import type { DestinationQueue } from '../../../runtime/processor/destination-queue.ts';
import { Dispatcher } from '../../../runtime/processor/dispatcher.ts';
import type { DispatcherLimits } from '../../../runtime/processor/limits.ts';
import { ended } from '../../../runtime/processor/open-delivery.ts';
import { eventually } from '../../kit/eventually.ts';

const limits: DispatcherLimits = { maxRunning: 4, maxRunningPerDestination: 2, mayPark: true, hasOthers: true };

interface Options {
  readonly limits?: Partial<DispatcherLimits>;
  readonly canPark?: () => boolean;
  /** The outcome of reading a payload again; default: it is read. */
  readonly recall?: (id: string) => Recalled;
}

/** A dispatcher whose deliveries are named `<destination> <connection> <number>` and run until they are released. */
function start({ limits: changed, canPark = () => true, recall = () => 'read' }: Options = {}) {
  const started: string[] = [];
  const parked: string[] = [];
  const running = new Map<string, (next?: string) => void>();
  const queues = new Map<string, DestinationQueue>();
  const dispatcher = new Dispatcher(
    { ...limits, ...changed },
    defaultCircuit,
    {
      route: ({ delivery }) => delivery.id.split(' ')[0] ?? '',
      run: (open, queue) => {
        queues.set(queue.name, queue);
        started.push(open.delivery.id);
        return new Promise((resolve) => {
          const release = (next?: string): void => resolve(next === undefined ? ended : { kind: 'moved', queue: next });
          running.set(open.delivery.id, release);
        });
      },
      park: async ({ delivery }, room) => {
        if (!canPark()) return false;
        parked.push(`${delivery.id} > ${room}`);
        return true;
      },
      recall: async ({ delivery }) => recall(delivery.id),
    },
    { onRoom: () => {}, onCircuit: () => {} },
  );
  return {
    dispatcher,
    started,
    parked,
    queues,
    add: (...ids: string[]) => {
      for (const id of ids) dispatcher.add(deliveryOf(id));
    },
    release: async (id: string, next?: string) => {
      running.get(id)?.(next);
      running.delete(id);
      await new Promise(setImmediate);
    },
  };
}

function deliveryOf(id: string, more: Partial<Delivery> = {}): Delivery {
  const connectionId = id.split(' ')[1] ?? '';
  const payload = Buffer.from('{}');
  const rest = { dueAtMs: 0, room: undefined, working: () => {}, shed: () => true };
  return { id, connectionId, payload, ...rest, ...more } as Delivery;
}

test('a destination that does not answer leaves room for another', async () => {
  const { add, started, release } = start();
  add('dead c1 1', 'dead c2 1', 'dead c3 1', 'good c4 1', 'good c5 1', 'good c6 1');
  assert.deepEqual(started, ['dead c1 1', 'dead c2 1', 'good c4 1', 'good c5 1']);
  await release('good c4 1');
  assert.deepEqual(started.slice(4), ['good c6 1']);
});

test('what waits for its connection takes no place', async () => {
  const { add, started, release } = start();
  add('a c1 1', 'a c1 2', 'a c1 3', 'a c1 4', 'a c1 5', 'a c2 1', 'b c3 1');
  assert.deepEqual(started, ['a c1 1', 'a c2 1', 'b c3 1']);
  await release('a c1 1');
  assert.deepEqual(started.slice(3), ['a c1 2']);
});

test('destinations take turns when there are fewer places than they want', async () => {
  const { add, started, release } = start({ limits: { maxRunning: 1 } });
  add('a c1 1', 'a c2 1', 'b c3 1', 'b c4 1');
  for (const id of ['a c1 1', 'a c2 1', 'b c3 1']) await release(id);
  assert.deepEqual(started, ['a c1 1', 'a c2 1', 'b c3 1', 'b c4 1']);
  add('a c5 1', 'a c6 1', 'b c7 1', 'b c8 1');
  for (const id of ['b c4 1', 'a c5 1', 'b c7 1', 'a c6 1']) await release(id);
  assert.deepEqual(started.slice(4), ['a c5 1', 'b c7 1', 'a c6 1', 'b c8 1']);
});

test('parks what would wait behind many others of a slow destination, and only that', async (context) => {
  context.mock.method(performance, 'now', () => nowMs);
  let nowMs = 0;
  const { add, parked, dispatcher } = start();
  add('dead c1 1', 'dead c2 1', 'dead c3 1', 'dead c4 1');
  nowMs += 51;
  add('dead c5 1', 'good c6 1');
  await eventually(() => parked.length === 1);
  assert.deepEqual(parked, ['dead c5 1 > dead']);
  assert.equal(dispatcher.waiting, 2);
});

test('parks nothing for a destination without others, or where order must hold', async () => {
  for (const changed of [{ hasOthers: false }, { mayPark: false }]) {
    const { add, parked, dispatcher } = start({ limits: changed });
    add(...Array.from({ length: 20 }, (_, n) => `only c${n} 1`));
    await new Promise(setImmediate);
    assert.deepEqual([parked, dispatcher.waiting], [[], 18]);
  }
});

test('parks nothing for a destination that is merely busy', async () => {
  const { add, parked, dispatcher } = start();
  add(...Array.from({ length: 20 }, (_, n) => `busy c${n} 1`));
  await new Promise(setImmediate);
  assert.deepEqual([parked, dispatcher.waiting], [[], 18]);
});

test('keeps what cannot be parked now', async () => {
  const { add, dispatcher, release, started } = start({ canPark: () => false });
  add('a c1 1', 'a c2 1', 'a c3 1', 'a c4 1', 'a c5 1', 'a c6 1');
  await new Promise(setImmediate);
  assert.equal(dispatcher.waiting, 4);
  for (const id of ['a c1 1', 'a c2 1', 'a c3 1', 'a c4 1']) await release(id);
  assert.equal(started.length, 6);
});

test('does not park again what comes from the waiting room', async () => {
  const { add, dispatcher, parked } = start();
  add('a c1 1', 'a c2 1', 'a c3 1', 'a c4 1');
  dispatcher.add(deliveryOf('a c5 1', { room: 'a' }));
  await new Promise(setImmediate);
  assert.deepEqual([parked, dispatcher.waiting], [[], 3]);
});

test('sends nothing while the circuit is open, then a few probes, then everything', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { add, started, queues, release, parked } = start({ limits: { maxRunning: 16, maxRunningPerDestination: 8 } });
  add('a c0 1');
  const queue = queues.get('a');
  for (let n = 0; n < 5; n++) queue?.circuit.failed(`m${n}`, 0);
  await release('a c0 1');
  add(...Array.from({ length: 10 }, (_, n) => `a c${n} 1`));
  await new Promise(setImmediate);
  assert.deepEqual(started, ['a c0 1']);
  assert.deepEqual(parked, ['a c8 1 > a', 'a c9 1 > a'], 'a few stay to be the probes');
  context.mock.timers.tick(1_000);
  assert.equal(started.length, 6, 'five probes');
  queue?.circuit.succeeded();
  assert.equal(started.length, 9);
});

test('goes on in another queue when a rules engine has named it, and gives its place back', async () => {
  const { add, started, release } = start({ limits: { maxRunningPerDestination: 1 } });
  add('engine c1 1', 'engine c2 1');
  assert.deepEqual(started, ['engine c1 1']);
  await release('engine c1 1', 'http://a');
  assert.deepEqual(started, ['engine c1 1', 'engine c1 1', 'engine c2 1'].sort());
});

test('holds what is not due, without keeping its connection waiting', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000 });
  const { add, dispatcher, started, release } = start();
  dispatcher.add(deliveryOf('a c1 1', { room: 'a', dueAtMs: 1_500 }));
  add('a c1 2');
  assert.deepEqual(started, ['a c1 2']);
  await release('a c1 2');
  context.mock.timers.tick(499);
  assert.equal(started.length, 1);
  context.mock.timers.tick(1);
  assert.deepEqual(started, ['a c1 2', 'a c1 1']);
});

test('asks for enough to fill its places, and for no more than could start soon', () => {
  for (const hasOthers of [false, true]) {
    const { add, dispatcher } = start({ limits: { hasOthers, maxRunningPerDestination: 4 } });
    assert.equal(dispatcher.maxFromStream, 4);
    add('a c1 1', 'a c2 1', 'a c3 1', 'a c4 1');
    assert.equal(dispatcher.maxFromStream, 8, 'four run, four more may come');
    add('a c5 1', 'a c6 1', 'a c7 1', 'a c8 1');
    assert.equal(dispatcher.maxFromStream, 8, 'four wait for a place');
  }
});

test('asks for more once a destination that was merely busy does not answer', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  context.mock.method(performance, 'now', () => nowMs);
  const { add, dispatcher } = start();
  add(...Array.from({ length: 8 }, (_, n) => `a c${n} 1`));
  assert.equal(dispatcher.maxFromStream, 8);
  nowMs += 51;
  context.mock.timers.tick(50);
  assert.equal(dispatcher.maxFromStream, 12);
});

test('asks for more when what is open only waits for its connection or for a destination that has no room', () => {
  const { add, dispatcher } = start({ limits: { maxRunning: 8 } });
  add(...Array.from({ length: 100 }, (_, n) => `a flood ${n}`));
  assert.equal(dispatcher.maxFromStream, 108);
  add('a c1 1', 'a c2 1', 'a c3 1');
  assert.equal(dispatcher.maxFromStream >= 108, true);
});

test('takes no more from the stream when much is open, and moves long lines out before that', async () => {
  const { dispatcher, parked } = start();
  for (let n = 1; n < 4_096; n++) dispatcher.add(deliveryOf(`a flood ${n}`));
  assert.deepEqual([dispatcher.isShort, parked], [false, []]);
  dispatcher.add(deliveryOf('a other 1'));
  assert.equal(dispatcher.isShort, true);
  for (let n = 0; n < 10; n++) dispatcher.add(deliveryOf(`a flood more${n}`));
  await eventually(() => parked.length === 10);
  assert(parked.every((line) => line.endsWith(unroutedRoom)));
  for (let n = 0; n < 4_096; n++) dispatcher.add(deliveryOf(`a c${n} 1`, { room: 'a' }));
  assert(dispatcher.maxFromStream >= 8_192 && dispatcher.maxFromStream < 8_210, `${dispatcher.maxFromStream}`);
});

test('where nothing may move out, takes more while what waits needs no payload, and reads it again in its turn', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const outcomes = new Map<string, Recalled>([['bad flood 4100', 'unavailable']]);
  const recalled: string[] = [];
  const recall = (id: string): Recalled => {
    recalled.push(id);
    return outcomes.get(id) ?? 'read';
  };
  const { dispatcher, started, release, add } = start({ limits: { mayPark: false }, recall });
  for (let n = 1; n <= 20_000; n++) dispatcher.add(deliveryOf(`bad flood ${n}`));
  add('good other 1');
  assert.deepEqual(started, ['bad flood 1', 'good other 1']);
  assert(dispatcher.maxFromStream > 20_000, `${dispatcher.maxFromStream}`);
  for (let n = 1; n < 4_100; n++) await release(`bad flood ${n}`);
  assert.deepEqual(recalled.slice(-2), ['bad flood 4099', 'bad flood 4100']);
  assert.equal(started.at(-1), 'bad flood 4099');
  outcomes.set('bad flood 4100', 'read').set('bad flood 4101', 'gone');
  context.mock.timers.tick(1_000);
  await new Promise(setImmediate);
  assert.equal(started.at(-1), 'bad flood 4100');
  await release('bad flood 4100');
  assert.equal(started.at(-1), 'bad flood 4102');
  for (let n = 20_001; n <= 45_000; n++) dispatcher.add(deliveryOf(`bad flood ${n}`));
  assert.equal(dispatcher.maxFromStream, dispatcher.running + dispatcher.waiting, 'there is an end to that, too');
});

test('counts bytes as well', () => {
  const { dispatcher } = start();
  const payload = new Uint8Array(8 * 1024 * 1024);
  for (let n = 0; n < 8; n++) dispatcher.add(deliveryOf(`a c1 ${n}`, { payload }));
  assert.equal(dispatcher.maxFromStream, 8);
});

test('starts nothing once it stops, and returns what had not started', async () => {
  const { add, dispatcher, release, started, parked } = start();
  add('a c1 1', 'a c1 2', 'a c2 1', 'a c3 1', 'engine c4 1');
  dispatcher.add(deliveryOf('a c5 1', { room: 'a', dueAtMs: Date.now() + 60_000 }));
  const taken = dispatcher.takeWaiting().map(({ delivery }) => delivery.id);
  assert.deepEqual(taken, ['a c1 2', 'a c3 1', 'a c5 1']);
  const idle = dispatcher.idle();
  await release('engine c4 1', 'http://b');
  assert.deepEqual(parked, ['engine c4 1 > http://b']);
  await release('a c1 1');
  await release('a c2 1');
  await idle;
  assert.deepEqual([started.length, dispatcher.running, dispatcher.waiting], [3, 0, 0]);
});
