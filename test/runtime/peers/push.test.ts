import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker, type MemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { LeaseBus } from '../../../runtime/bus/port/leases.ts';
import { encodeAnswer, type OwnerRequest } from '../../../runtime/peers/codec.ts';
import { createPush, type Push, type PushBus } from '../../../runtime/peers/push.ts';
import { eventually } from '../../kit/eventually.ts';
import { replaced } from '../../kit/replaced.ts';

const instanceId = '0123456789ab';
const request: OwnerRequest = {
  kind: 'send',
  connectionId: `${instanceId}-0123456789abcdef0123456789abcdef`,
  data: Buffer.from('hello'),
  isBinary: false,
};
const timeoutMs = 100;

interface Kit extends AsyncDisposable {
  readonly broker: MemoryBroker;
  readonly bus: Bus;
  readonly push: Push;
  /** Requests that reached the owner. */
  readonly received: Uint8Array[];
  /** The owner answers from now on. */
  wake(): void;
  /** The owner's lease is no longer renewed. */
  abandonLease(): Promise<void>;
}

/** An owner that gets requests and answers none, with a lease that it holds. */
async function startSilentOwner(leasesOf = (bus: Bus): LeaseBus => bus.leases): Promise<Kit> {
  const broker = createMemoryBroker({ leaseMs: 300 });
  const [bus, owner, holder] = [broker.connect(), broker.connect(), broker.connect()];
  for (const each of [bus, owner, holder]) await each.start();
  const received: Uint8Array[] = [];
  let isAwake = false;
  owner.peers.serve(instanceId, (payload) => {
    received.push(payload);
    return isAwake ? Promise.resolve(encodeAnswer('done')) : new Promise(() => {});
  });
  holder.leases.hold(instanceId, () => {});
  const pushBus: PushBus = { peers: bus.peers, leases: leasesOf(bus) };
  return {
    broker,
    bus,
    push: createPush(pushBus, timeoutMs),
    received,
    wake: () => {
      isAwake = true;
    },
    abandonLease: () => holder.stop(),
    [Symbol.asyncDispose]: async () => {
      for (const each of [bus, owner, holder]) await each.stop();
    },
  };
}

test('an owner that does not answer is silent while its lease is held, and gone once it is over', async () => {
  await using kit = await startSilentOwner();
  assert.equal((await kit.push.ask(request)).status, 'timeout');
  await kit.abandonLease();
  assert.equal((await kit.push.ask(request)).status, 'timeout');
  await eventually(async () => (await kit.bus.leases.isHeld(instanceId)) === false);
  assert.equal((await kit.push.ask(request)).status, 'gone');
});

test('a request that timed out is answered with gone if the lease is over by then', async () => {
  await using kit = await startSilentOwner();
  await kit.abandonLease();
  await eventually(async () => (await kit.bus.leases.isHeld(instanceId)) === false);
  assert.equal((await kit.push.ask(request)).status, 'gone');
  assert.equal(kit.received.length, 1);
});

test('sends nothing more to a silent owner whose lease is over, and does not wait for it', async () => {
  await using kit = await startSilentOwner();
  assert.equal((await kit.push.ask(request)).status, 'timeout');
  await kit.abandonLease();
  await eventually(async () => (await kit.bus.leases.isHeld(instanceId)) === false);
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => kit.push.ask(request)));
  assert.deepEqual(new Set(outcomes.map(({ status }) => status)), new Set(['gone']));
  assert.equal(kit.received.length, 1);
});

test('sends to a silent owner again while its lease is held, and trusts it once it answers', async () => {
  let questions = 0;
  await using kit = await startSilentOwner(({ leases }) =>
    replaced(leases, {
      isHeld: (id) => {
        questions += 1;
        return leases.isHeld(id);
      },
    }),
  );
  assert.equal((await kit.push.ask(request)).status, 'timeout');
  kit.wake();
  assert.equal((await kit.push.ask(request)).status, 'done');
  assert.equal(questions, 2);
  assert.equal((await kit.push.ask(request)).status, 'done');
  assert.equal(questions, 2);
});

for (const [what, isHeld] of [
  ['unknown', async () => undefined],
  ['not read in time', () => new Promise<never>(() => {})],
] as const) {
  test(`does not call a connection gone while the lease of its silent owner is ${what}`, async () => {
    await using kit = await startSilentOwner(({ leases }) => replaced(leases, { isHeld }));
    assert.equal((await kit.push.ask(request)).status, 'timeout');
    assert.equal((await kit.push.ask(request)).status, 'timeout');
    assert.equal(kit.received.length, 2);
  });
}

test('asks nobody about an id that no gateway gives out', async () => {
  await using kit = await startSilentOwner();
  assert.equal((await kit.push.ask({ ...request, connectionId: `${instanceId}-${'x'.repeat(300)}` })).status, 'gone');
  assert.equal(kit.received.length, 0);
});
