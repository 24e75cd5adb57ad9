import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker, type MemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import { Fence } from '../../../runtime/peers/fence.ts';
import { eventually } from '../../kit/eventually.ts';

const ids = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(12));

interface Member {
  readonly bus: Bus;
  readonly fence: Fence;
  readonly id: string;
}

/** An instance that holds a lease and answers fences. */
async function join(broker: MemoryBroker, id: string): Promise<Member> {
  const bus = broker.connect();
  const fence = new Fence(bus, id);
  fence.listen();
  await bus.start();
  bus.leases.hold(id, () => {});
  await fence.meet();
  return { bus, fence, id };
}

/** One that holds a lease and has never been heard. */
async function holdSilently(broker: MemoryBroker, id: string) {
  const bus = broker.connect();
  await bus.start();
  return bus.leases.hold(id, () => {});
}

test('passes once every instance has answered, those that came later among them', async () => {
  const broker = createMemoryBroker();
  const first = await join(broker, ids[0] ?? '');
  const second = await join(broker, ids[1] ?? '');
  const startedMs = performance.now();
  for (const { fence } of [first, second]) assert.deepEqual([...(await fence.join()).unanswered], []);
  assert.ok(performance.now() - startedMs < 2_000);
});

test('names the instance that holds a lease and is silent, once; then does not wait for it', async () => {
  const broker = createMemoryBroker();
  const lease = await holdSilently(broker, ids[1] ?? '');
  const startedMs = performance.now();
  const { fence } = await join(broker, ids[0] ?? '');
  assert.ok(performance.now() - startedMs > 2_900);
  const again = performance.now();
  assert.deepEqual([...(await fence.join()).unanswered], [ids[1]]);
  assert.ok(performance.now() - again < 1_000);
  await lease.release();
  assert.deepEqual([...(await fence.join()).unanswered], []);
});

test('knows a silent instance again that answers', async () => {
  const broker = createMemoryBroker();
  await holdSilently(broker, ids[1] ?? '');
  const { fence } = await join(broker, ids[0] ?? '');
  assert.equal((await fence.join()).unanswered.size, 1);
  await join(broker, ids[1] ?? '');
  assert.equal((await fence.join()).unanswered.size, 0);
});

test('two that started together without hearing one another meet once both have their leases', async () => {
  const broker = createMemoryBroker();
  let isCut = true;
  const members: Member[] = [];
  for (const id of ids.slice(0, 2)) {
    const bus = broker.connect();
    const { leases, peers } = bus;
    const { listen } = peers;
    const ask: typeof peers.ask = (...asked) => (isCut ? { close() {} } : peers.ask(...asked));
    const fence = new Fence({ leases, peers: { ...peers, listen: listen.bind(peers), ask } }, id);
    fence.listen();
    await bus.start();
    members.push({ bus, fence, id });
  }
  const [one, two] = members as [Member, Member];
  const lost = Promise.all(members.map(({ fence }) => fence.meet()));
  for (const { bus, id } of members) bus.leases.hold(id, () => {});
  await lost;
  isCut = false;
  await two.fence.meet();
  // The other one has learned of it, so it notices its silence.
  await two.bus.stop();
  assert.deepEqual([...(await one.fence.join()).unanswered], [two.id]);
});

test('does not wait for an instance that has left', async () => {
  const broker = createMemoryBroker();
  const [one, two] = [await join(broker, ids[0] ?? ''), await join(broker, ids[1] ?? '')];
  await one.fence.join();
  two.fence.leave();
  await new Promise(setImmediate);
  await two.bus.stop();
  const startedMs = performance.now();
  assert.deepEqual([...(await one.fence.join()).unanswered], []);
  assert.ok(performance.now() - startedMs < 2_000);
});

test('whoever joins in one round trip shares it', async () => {
  const broker = createMemoryBroker();
  const one = await join(broker, ids[0] ?? '');
  let asked = 0;
  one.bus.peers.listen({ kind: 'fence' }, () => {
    asked += 1;
  });
  await Promise.all(Array.from({ length: 1_000 }, () => one.fence.join()));
  assert.equal(asked, 1);
});

test('ends when the bus is down, and counts everybody else as unanswered', async () => {
  const broker = createMemoryBroker();
  const one = await join(broker, ids[0] ?? '');
  await join(broker, ids[1] ?? '');
  await one.fence.join();
  broker.setDown(true);
  assert.ok((await one.fence.join()).unanswered.has(ids[1] ?? ''));
});

test('takes nothing from strangers: neither names that are none, nor more than it can remember', async () => {
  const broker = createMemoryBroker();
  const one = await join(broker, ids[0] ?? '');
  const stranger = broker.connect();
  await stranger.start();
  for (const text of ['', '?', '-', '?UPPERCASE000', '!aaaaaaaaaaaa', '?'.repeat(5_000), '\u0000']) {
    stranger.peers.ask({ kind: 'fence' }, Buffer.from(text), () => assert.fail('answered'));
  }
  for (let i = 0; i < 10_000; i++) {
    const id = i.toString(16).padStart(12, '0');
    stranger.peers.ask({ kind: 'fence' }, Buffer.from(`?${id}`), () => {})?.close();
  }
  await eventually(async () => (await one.fence.join()).unanswered.size === 0, { timeoutMs: 20_000 });
});
