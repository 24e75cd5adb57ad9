import assert from 'node:assert/strict';
import test from 'node:test';
import { createPush } from '../../../runtime/peers/push.ts';
import { connect } from '../../kit/client.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';
import { replaced } from '../../kit/replaced.ts';

test('replies of one turn to several clients of a gateway reach each of them, and a closed one is gone', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  await using other = await connect(gateway.url('/chat'));
  const [id = '', otherId = ''] = await eventually(() => {
    const opened = gateway.lines.filter(({ msg }) => msg === 'connection opened');
    return opened.length === 2 ? opened.map(({ connectionId }) => `${connectionId}`) : false;
  });
  const bus = gateway.broker.connect();
  await bus.start();
  let requests = 0;
  const request: typeof bus.peers.request = (...args) => {
    requests += 1;
    return bus.peers.request(...args);
  };
  const push = createPush({ peers: replaced(bus.peers, { request }), leases: bus.leases }, 5000);
  const closed = `${id.slice(0, 12)}-${'0'.repeat(32)}`;
  const texts = new Map([
    [id, 'one'],
    [closed, 'nobody'],
    [otherId, 'two'],
  ]);
  const outcomes = await Promise.all(
    Array.from(texts, ([connectionId, text]) =>
      push.ask({ kind: 'reply', connectionId, data: Buffer.from(text), isBinary: false }),
    ),
  );
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['done', 'gone', 'done'],
  );
  assert.equal(await client.nextText(), 'one');
  assert.equal(await other.nextText(), 'two');
  assert.equal(requests, 1);
  await bus.stop();
});
