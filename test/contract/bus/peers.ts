/** The bus contract: requests between instances, and broadcasts to all of them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../kit/eventually.ts';
import { type MakeBusEnvironment, startBus, text } from './kit.ts';

export function busPeers(makeEnvironment: MakeBusEnvironment): void {
  test('answers requests to an instance that was served before the bus was started', async () => {
    await using environment = await makeEnvironment();
    const owner = environment.bus();
    owner.peers.serve('gw-1', async (payload) => Buffer.from(`re: ${text(payload)}`));
    await owner.start();
    const asker = await startBus(environment);
    await eventually(async () => {
      const answer = await asker.peers.request('gw-1', Buffer.from('ping'), 1000);
      assert.equal(answer.kind === 'answer' && text(answer.payload), 're: ping');
    });
    const own = await owner.peers.request('gw-1', new Uint8Array(0), 1000);
    assert.equal(own.kind === 'answer' && text(own.payload), 're: ');
  });

  test('answers at once when nobody serves an instance', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    assert.deepEqual(await bus.peers.request('gw-9', Buffer.from('ping'), 5000), { kind: 'nobody' });
  });

  test('does not serve an instance after its bus was stopped', async () => {
    await using environment = await makeEnvironment();
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.peers.serve('gw-1', async (payload) => payload);
    await eventually(async () => (await asker.peers.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
    await owner.stop();
    await eventually(async () => (await asker.peers.request('gw-1', Buffer.from('x'), 1000)).kind === 'nobody');
  });

  test('times out a slow request, and does not mix up answers', async () => {
    await using environment = await makeEnvironment();
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    const held: (() => void)[] = [];
    owner.peers.serve('gw-1', async (payload) => {
      if (text(payload) === 'slow') await new Promise<void>((resolve) => held.push(resolve));
      return payload;
    });
    await eventually(async () => (await asker.peers.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
    const slow = await asker.peers.request('gw-1', Buffer.from('slow'), 150);
    assert.deepEqual(slow, { kind: 'timeout' });
    const next = Promise.all(['a', 'b', 'c'].map((body) => asker.peers.request('gw-1', Buffer.from(body), 1000)));
    for (const release of held) release();
    const bodies = (await next).map((answer) => answer.kind === 'answer' && text(answer.payload));
    assert.deepEqual(bodies, ['a', 'b', 'c']);
  });

  test('lets a request time out if its answer is too large to send, and serves the next one', async () => {
    await using environment = await makeEnvironment();
    const [owner, asker] = [await startBus(environment), await startBus(environment)];
    owner.peers.serve('gw-1', async (payload) => {
      return text(payload) === 'much' ? Buffer.alloc(owner.peers.maxPayloadBytes + 1) : payload;
    });
    await eventually(async () => (await asker.peers.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
    assert.deepEqual(await asker.peers.request('gw-1', Buffer.from('much'), 300), { kind: 'timeout' });
    assert.equal((await asker.peers.request('gw-1', Buffer.from('x'), 1000)).kind, 'answer');
  });

  test('sends no request while the server is down, and serves again when it is back', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    bus.peers.serve('gw-1', async (payload) => payload);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.deepEqual(await bus.peers.request('gw-1', Buffer.from('x'), 1000), { kind: 'down' });
    await environment.setDown(false);
    await eventually(async () => (await bus.peers.request('gw-1', Buffer.from('x'), 1000)).kind === 'answer');
  });

  test('refuses a request and a broadcast that are too large', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const payload = Buffer.alloc(bus.messages.maxPayloadBytes + 1);
    await assert.rejects(bus.peers.request('gw-1', payload, 1000), { code: 'HYD_MESSAGE_TOO_LARGE' });
    await assert.rejects(bus.peers.broadcast(payload), { code: 'HYD_MESSAGE_TOO_LARGE' });
  });

  test('delivers a broadcast to every instance, the sender included', async () => {
    await using environment = await makeEnvironment();
    const [first, second] = [environment.bus(), environment.bus()];
    const heard: string[] = [];
    first.peers.onBroadcast((payload) => heard.push(`first ${text(payload)}`));
    second.peers.onBroadcast((payload) => heard.push(`second ${text(payload)}`));
    await first.start();
    await second.start();
    await eventually(() => first.status === 'up' && second.status === 'up');
    await eventually(async () => {
      await first.peers.broadcast(Buffer.from('hi'));
      return heard.includes('second hi');
    });
    await eventually(() => heard.includes('first hi'));
  });

  test('refuses a broadcast while the server is down', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    await assert.rejects(bus.peers.broadcast(Buffer.from('hi')), { code: 'HYD_BUS_UNREACHABLE' });
  });
}
