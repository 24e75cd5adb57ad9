import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { type Client, connect } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';
import { withholdingBus } from './held-bus.ts';

/** Asks for a disconnect of the only connection, with 4000; returns the status. */
async function disconnect(gateway: TestGateway): Promise<number> {
  const line = gateway.lines.find(({ msg }) => msg === 'connection opened');
  const url = `${gateway.managementUrl}/connections/${line?.connectionId}/_disconnect?code=4000`;
  return (await fetch(url, { method: 'POST' })).status;
}

function sendMany(client: Client, count: number, padding = 0): void {
  for (let index = 0; index < count; index++) client.send(`${index} `.padEnd(padding, '.'));
}

test("stores what a service's close finds read, and what is read until the client sees it, although it is over its rate", async () => {
  await using gateway = await startGateway({ spec: { limits: { messagesPerSecond: 1 } } });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 2_000, 1_000);
  await eventually(() => gateway.messages.length > 0);
  assert.equal(await disconnect(gateway), 204);
  assert.equal((await client.closed).code, 4000);
  await eventually(() => gateway.messages.length === 2_000);
});

test("answers a disconnect at once, and writes the service's code only when everything is stored", async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 5_000);
  await eventually(() => withheld.published === 128);
  assert.equal(await disconnect(gateway), 204);
  assert.equal(await disconnect(gateway), 410);
  await holds(() => client.socket.readyState === client.socket.OPEN, 300);
  withheld.acknowledge();
  assert.equal((await client.closed).code, 4000);
  assert.equal(withheld.published, 5_000);
  await eventually(() => gateway.messages.length === 5_000);
});

test('a disconnect whose messages are never stored ends with 1013', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus, spec: { drain: { periodSeconds: 0 } } });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 1_000);
  await eventually(() => withheld.published === 128);
  assert.equal(await disconnect(gateway), 204);
  await gateway.gateway.stop('SIGTERM');
  assert.equal((await client.closed).code, 1013);
  const line = gateway.lines.find(({ msg }) => msg.startsWith('stopped with client messages'));
  assert.equal(line?.unsavedMessages, 1_000);
});

test("answers a client's close frame only when what it sent is stored", async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 1_000);
  client.socket.close(1000, 'done');
  await eventually(() => withheld.published === 128);
  await holds(() => client.socket.readyState !== client.socket.CLOSED, 300);
  withheld.acknowledge();
  assert.deepEqual(await client.closed, { code: 1000, reason: 'done' });
  assert.equal(withheld.published, 1_000);
  await eventually(() => gateway.messages.length === 1_000);
  await eventually(() => gateway.lines.some(({ msg, by }) => msg === 'connection closed' && by === 'client'));
});

test("answers a client's close with 1013 when the gateway stops before what it sent is stored", async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus, spec: { drain: { periodSeconds: 0 } } });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 20);
  client.socket.close(1000);
  await eventually(() => withheld.published === 20);
  await gateway.gateway.stop('SIGTERM');
  assert.equal((await client.closed).code, 1013);
});

test('answers a close frame without a code with one without a code', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.socket.close();
  assert.equal((await client.closed).code, 1005);
});

test('takes the whole grace period to store what clients sent before it closes them with 1001', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus, spec: { drain: { periodSeconds: 0 } } });
  await using client = await connect(gateway.url('/chat'));
  sendMany(client, 5_000);
  await eventually(() => withheld.published === 128);
  const stopped = gateway.gateway.stop('SIGTERM');
  await holds(() => client.socket.readyState === client.socket.OPEN, 4_000);
  withheld.acknowledge();
  assert.equal((await client.closed).code, 1001);
  assert.equal(withheld.published, 5_000);
  await stopped;
  await eventually(() => gateway.messages.length === 5_000);
});
