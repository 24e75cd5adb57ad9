import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { text } from '../../../contract/bus/kit.ts';
import { eventually } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { startTcpProxy } from '../../../kit/tcp-proxy.ts';
import { natsGroup } from './kit.ts';

const skip = await natsOrSkip();

describe('peers on nats', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('answers nobody when a request names no reply subject', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const heard: string[] = [];
    bus.peers.serve('gw-1', async (payload) => {
      heard.push(text(payload));
      return payload;
    });
    const { connection } = await group.client();
    await eventually(() => {
      connection.publish(group.subjects.instance('gw-1'), 'no reply');
      return heard.includes('no reply');
    });
    const answer = await bus.peers.request('gw-1', Buffer.from('ping'), 5000);
    assert.equal(answer.kind === 'answer' && text(answer.payload), 'ping');
  });

  test('has handed a broadcast to the server when it resolves', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const { connection } = await group.client();
    const heard: string[] = [];
    connection.subscribe(group.subjects.broadcast, { callback: (_err, msg) => heard.push(text(msg.data)) });
    await connection.flush();
    await bus.peers.broadcast(Buffer.from('one'));
    await Promise.all(['two', 'three'].map((body) => bus.peers.broadcast(Buffer.from(body))));
    // What the server has is on its way to the client ahead of the answer to this.
    await connection.flush();
    assert.deepEqual(heard, ['one', 'two', 'three']);
  });

  test('rejects a broadcast that the server does not confirm in time', async () => {
    await using proxy = await startTcpProxy(server.port);
    await using group = natsGroup(server);
    const bus = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`] });
    await bus.peers.broadcast(Buffer.from('works'));
    proxy.freeze();
    const startedAtMs = performance.now();
    const broadcasts = Array.from({ length: 20 }, () => bus.peers.broadcast(Buffer.from('vanishes')));
    for (const outcome of await Promise.allSettled(broadcasts)) {
      assert.equal(outcome.status === 'rejected' && outcome.reason.code, 'HYD_BUS_UNREACHABLE');
    }
    assert.ok(performance.now() - startedAtMs < 10_000);
    proxy.cut();
    await eventually(async () => {
      await bus.peers.broadcast(Buffer.from('works again'));
    });
  });

  test('rejects a broadcast that was lost with its connection, although there is a new one', async () => {
    await using proxy = await startTcpProxy(server.port);
    await using group = natsGroup(server);
    const bus = await group.started({ servers: [`nats://127.0.0.1:${proxy.port}`], reconnectJitterMs: 0 });
    const blocked = bus.peers.broadcast(Buffer.from('first'));
    const lost = bus.peers.broadcast(Buffer.from('second'));
    proxy.freeze();
    proxy.cut();
    for (const broadcast of [blocked, lost]) await assert.rejects(broadcast, { code: 'HYD_BUS_UNREACHABLE' });
    await eventually(() => bus.status === 'up');
    await bus.peers.broadcast(Buffer.from('third'));
  });
});
