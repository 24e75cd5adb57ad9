/** The bus contract: requests between instances, broadcast, and the leases that say which instances live. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, holds } from '../../kit/eventually.ts';
import { type MakeBusEnvironment, startBus, text } from './kit.ts';

export function busPeers(makeEnvironment: MakeBusEnvironment): void {
  test('answers requests to an instance, though it was served before the start', async () => {
    await using environment = await makeEnvironment();
    const owner = environment.bus();
    owner.serve('gw-1', async (payload) => Buffer.from(`re: ${text(payload)}`));
    await owner.start();
    const asker = await startBus(environment);
    await eventually(async () => {
      const answer = await asker.request('gw-1', Buffer.from('ping'), 1000);
      assert.equal(answer.kind === 'answer' && text(answer.payload), 're: ping');
    });
    const own = await owner.request('gw-1', new Uint8Array(0), 1000);
    assert.equal(own.kind === 'answer' && text(own.payload), 're: ');
  });

  test('says at once that nobody serves an instance', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    assert.deepEqual(await bus.request('gw-9', Buffer.from('ping'), 5000), { kind: 'nobody' });
  });

  test('says that nobody serves an instance whose bus was stopped', async () => {
    await using environment = await makeEnvironment();
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.serve('gw-1', async (payload) => payload);
    await eventually(async () => (await asker.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
    await owner.stop();
    await eventually(async () => (await asker.request('gw-1', Buffer.from('x'), 1000)).kind === 'nobody');
  });

  test('says when an answer takes too long, and keeps answers apart', async () => {
    await using environment = await makeEnvironment();
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    const held: (() => void)[] = [];
    owner.serve('gw-1', async (payload) => {
      if (text(payload) === 'slow') await new Promise<void>((resolve) => held.push(resolve));
      return payload;
    });
    await eventually(async () => (await asker.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
    const slow = await asker.request('gw-1', Buffer.from('slow'), 150);
    assert.deepEqual(slow, { kind: 'timeout' });
    const next = Promise.all(['a', 'b', 'c'].map((body) => asker.request('gw-1', Buffer.from(body), 1000)));
    for (const release of held) release();
    const bodies = (await next).map((answer) => answer.kind === 'answer' && text(answer.payload));
    assert.deepEqual(bodies, ['a', 'b', 'c']);
  });

  test('does not send a request while the server is away, and serves again when it is back', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    bus.serve('gw-1', async (payload) => payload);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.deepEqual(await bus.request('gw-1', Buffer.from('x'), 1000), { kind: 'down' });
    await environment.setDown(false);
    await eventually(async () => (await bus.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
  });

  test('refuses a request and a broadcast that are too large', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const payload = Buffer.alloc(bus.maxPayloadBytes + 1);
    await assert.rejects(bus.request('gw-1', payload, 1000), { code: 'HYD_MESSAGE_TOO_LARGE' });
    assert.throws(() => bus.broadcast(payload), { code: 'HYD_MESSAGE_TOO_LARGE' });
  });

  test('hands a broadcast to every instance, the sender included', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [environment.bus(), environment.bus()];
    const heard: string[] = [];
    first.onBroadcast((payload) => heard.push(`first ${text(payload)}`));
    second.onBroadcast((payload) => heard.push(`second ${text(payload)}`));
    await first.start();
    await second.start();
    await eventually(() => first.status === 'up' && second.status === 'up');
    await eventually(() => {
      first.broadcast(Buffer.from('hi'));
      return heard.includes('second hi');
    });
    await eventually(() => heard.includes('first hi'));
  });

  test('refuses a broadcast while the server is away', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.throws(() => bus.broadcast(Buffer.from('hi')), { code: 'HYD_BUS_UNREACHABLE' });
  });

  test('a lease is held from its claim to its release', async () => {
    await using environment = await makeEnvironment({ leaseMs: 2000 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    assert.notEqual(await asker.isLeaseHeld('gw-1'), true);
    const lease = owner.holdLease('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.isLeaseHeld('gw-1')) === true);
    await holds(async () => (await asker.isLeaseHeld('gw-1')) === true, 3000);
    await lease.release();
    assert.equal(await asker.isLeaseHeld('gw-1'), false);
  });

  test('the lease of an instance that died expires, and not at once', async () => {
    await using environment = await makeEnvironment({ leaseMs: 1500 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.holdLease('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.isLeaseHeld('gw-1')) === true);
    await owner.stop();
    assert.equal(await asker.isLeaseHeld('gw-1'), true);
    await eventually(async () => (await asker.isLeaseHeld('gw-1')) === false);
  });

  test('a lease outlives a short absence of the server, during which nobody knows', async () => {
    await using environment = await makeEnvironment({ leaseMs: 10_000 });
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.holdLease('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.isLeaseHeld('gw-1')) === true);
    await environment.setDown(true);
    await eventually(() => asker.status === 'down');
    assert.equal(await asker.isLeaseHeld('gw-1'), undefined);
    await environment.setDown(false);
    await eventually(async () => {
      const isHeld = await asker.isLeaseHeld('gw-1');
      assert.notEqual(isHeld, false);
      return isHeld === true;
    });
  });

  test('the owner learns that its lease was not renewed for too long, and holds it again when it can', async () => {
    await using environment = await makeEnvironment({ leaseMs: 1000 });
    const owner = await startBus(environment);
    let lost = 0;
    const lease = owner.holdLease('gw-1', () => lost++);
    await eventually(async () => (await owner.isLeaseHeld('gw-1')) === true);
    await environment.setDown(true);
    await eventually(() => lost === 1);
    assert.equal(lease.isHeld, false);
    await environment.setDown(false);
    await eventually(() => owner.status === 'up');
    await eventually(() => lease.isHeld);
    await eventually(async () => (await owner.isLeaseHeld('gw-1')) === true);
    await holds(() => lost === 1, 500);
  });
}
