import assert from 'node:assert/strict';
import test from 'node:test';
import { closeCodes } from '../../../runtime/close.ts';
import { GatewayMetrics } from '../../../runtime/role/metrics.ts';
import { connect } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';

const scrape = async (gateway: TestGateway): Promise<string> => (await fetch(`${gateway.probesUrl}/metrics`)).text();

test('clients that use every possible close code add only one series', async () => {
  const metrics = new GatewayMetrics({
    memberships: () => 0,
    connections: () => [],
    unacknowledged: () => ({ messages: 0, bytes: 0 }),
    isBusUp: () => true,
    isPressed: () => false,
    held: () => [],
  });
  for (let code = 1000; code <= 4999; code++) metrics.closed(code);
  const text = await metrics.registry.getSingleMetricAsString('hydrogen_gateway_connections_closed_total');
  const labels = [...text.matchAll(/close_code="(\w+)"/g)].map(([, label]) => label);
  assert.deepEqual(labels.sort(), [...Object.values(closeCodes).map(String), 'other'].sort());
});

test('counts closed connections by the codes of the table, and all others together', async () => {
  await using gateway = await startGateway();
  for (const code of [1000, 3000, 4999]) {
    await using client = await connect(gateway.url('/chat'));
    client.socket.close(code);
    await client.closed;
  }
  await using silent = await connect(gateway.url('/chat'));
  silent.socket.close();
  await silent.closed;
  await eventually(async () => /close_code="1005"} 1\n/.test(await scrape(gateway)));
  const text = await scrape(gateway);
  assert.match(text, /connections_closed_total{close_code="1000"} 1\n/);
  assert.match(text, /connections_closed_total{close_code="other"} 2\n/);
  assert.doesNotMatch(text, /close_code="(3000|4999)"/);
});

test('counts hook calls by hook and by outcome', async () => {
  await using auth = await startDestination(() => ({ body: '{}' }));
  await using refusing = await startDestination(() => ({ status: 500 }));
  const spec = {
    authorizer: { http: { url: auth.url } },
    hooks: { connect: { url: refusing.url } },
  };
  await using gateway = await startGateway({ spec });
  await assert.rejects(connect(gateway.url('/chat')));
  const text = await scrape(gateway);
  assert.match(text, /hydrogen_gateway_hooks_total{hook="authorizer",outcome="ok"} 1\n/);
  assert.match(text, /hydrogen_gateway_hooks_total{hook="connect",outcome="refused"} 1\n/);
});
