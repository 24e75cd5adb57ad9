/** Channels between gateways whose connections lead to different servers of a NATS cluster. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { startGateway } from '../kit/gateway.ts';
import { natsOrSkip, type TestNats } from '../kit/nats.ts';
import { startNatsCluster } from '../kit/nats-cluster.ts';
import { natsGroup } from '../runtime/bus/nats/kit.ts';

const skip = await natsOrSkip();

test('a membership that was answered is known to gateways on every server', { skip }, async () => {
  await using cluster = await startNatsCluster(3);
  const [first, second] = cluster.nodes as [TestNats, TestNats, TestNats];
  await using group = natsGroup(first);
  const spec = { mode: 'ServerToClient' };
  await using one = await startGateway({ bus: group.bus({ servers: [first.url] }), isConsumed: false, spec });
  await using two = await startGateway({ bus: group.bus({ servers: [second.url] }), isConsumed: false, spec });
  await eventually(() => [one, two].every(({ gateway }) => gateway.readiness.reason === undefined), {
    timeoutMs: 30_000,
  });
  await using client = await connect(one.url('/chat'));
  // Which gateways there are, those that have just started learn a moment after they are ready.
  let id = '';
  await eventually(async () => {
    const list = (await (await fetch(`${two.managementUrl}/connections`)).json()) as {
      items: { connection_id: string }[];
    };
    id = list.items[0]?.connection_id ?? '';
    return id !== '';
  });
  for (let i = 0; i < 200; i++) {
    const put = await fetch(`${one.managementUrl}/channels/c${i}/connections/${id}`, { method: 'PUT' });
    assert.equal(put.status, 204);
    const sent = await fetch(`${two.managementUrl}/channels/c${i}/_send`, { method: 'POST', body: `${i}` });
    assert.deepEqual(await sent.json(), { connections: 1, sent: 1, full: 0, unanswered: 0 }, `channel ${i}`);
    await fetch(`${two.managementUrl}/channels/c${i}/connections/${id}`, { method: 'DELETE' });
  }
  assert.ok(client.texts.length > 0);
});
