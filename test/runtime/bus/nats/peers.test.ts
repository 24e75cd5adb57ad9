import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { text } from '../../../contract/bus/kit.ts';
import { eventually } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
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
});
