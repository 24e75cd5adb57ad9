import assert from 'node:assert/strict';
import { createConnection as createTcpConnection, type Socket, type TcpNetConnectOpts } from 'node:net';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { connect } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';
import { replaced } from '../../kit/replaced.ts';
import { withholdingBus } from './held-bus.ts';

async function heldFor(gateway: TestGateway, reason: string): Promise<number> {
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  const line = new RegExp(`^hydrogen_gateway_connections_held\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(metrics);
  return Number(line?.[1]);
}

test('hands no more of one read to the bus than a connection may have unacknowledged', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 5_000; index++) client.send(`${index}`);
  await eventually(() => withheld.published >= 128);
  await holds(() => withheld.published === 128, 300);
  assert.equal(await heldFor(gateway, 'unacknowledged'), 1);
  withheld.acknowledge();
  await eventually(() => gateway.messages.length === 5_000);
  assert.deepEqual(
    gateway.messages.map(({ body }) => Number(body.message)),
    Array.from({ length: 5_000 }, (_, index) => index),
  );
});

test('hands no more of one read over than messagesPerSecond allows', async () => {
  await using gateway = await startGateway({ spec: { limits: { messagesPerSecond: 10 } } });
  await using client = await connect(gateway.url('/chat'));
  client.send('first');
  await eventually(() => gateway.messages.length === 1);
  for (let index = 0; index < 1_000; index++) client.send(`${index}`);
  await eventually(() => gateway.messages.length >= 10);
  await holds(() => gateway.messages.length <= 25, 500);
});

test('stores what was read from a client that left while it was held', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus });
  const sockets: Socket[] = [];
  const createConnection = ((options: TcpNetConnectOpts) => {
    const socket = createTcpConnection(options);
    sockets.push(socket);
    return socket;
  }) as typeof createTcpConnection;
  await using client = await connect(gateway.url('/chat'), { createConnection });
  for (let index = 0; index < 1_000; index++) client.send(`${index}`);
  await holds(() => withheld.published <= 128, 300);
  for (const socket of sockets) socket.resetAndDestroy();
  await eventually(() => gateway.lines.some(({ msg }) => msg === 'connection closed'));
  withheld.acknowledge();
  await eventually(() => gateway.messages.length === 1_000);
});

test('holds a connection alone while maxStoredPerConnection of its messages are not consumed', async () => {
  const open: Delivery[] = [];
  await using gateway = await startGateway({
    spec: { limits: { maxStoredPerConnection: 16 } },
    onDelivery: (delivery) => {
      if (JSON.parse(Buffer.from(delivery.payload).toString()).message === 'other') delivery.ack();
      else open.push(delivery);
    },
  });
  await using flooder = await connect(gateway.url('/chat'));
  await using other = await connect(gateway.url('/chat'));
  for (let index = 0; index < 40; index++) flooder.send(`${index}`);
  await eventually(() => open.length === 16);
  for (let index = 0; index < 100; index++) other.send('other');
  await eventually(() => gateway.messages.length === 116);
  await holds(() => open.length === 16, 300);
  assert.equal(await heldFor(gateway, 'stored'), 1);
  for (const delivery of open.splice(0, 7)) delivery.ack();
  await holds(() => open.length === 9, 300);
  for (const delivery of open.splice(0, 1)) delivery.ack();
  await eventually(() => open.length === 16);
  await eventually(() => {
    for (const delivery of open.splice(0)) delivery.ack();
    return gateway.messages.length === 140;
  });
});

test('holds open connections while no processor consumes their endpoint', async () => {
  const broker = createMemoryBroker();
  let isConsumed = true;
  const listeners: (() => void)[] = [];
  const real = broker.connect();
  const messages = replaced(real.messages, {
    isConsumed: (endpoint) => endpoint !== '/feed' || isConsumed,
    onConsumers: (listener) => void listeners.push(listener),
  });
  await using gateway = await startGateway({ broker, bus: replaced(real, { messages }) });
  await using chat = await connect(gateway.url('/chat'));
  await using feed = await connect(gateway.url('/feed'));
  await using drained = await connect(gateway.url('/feed'));
  isConsumed = false;
  for (const listener of listeners) listener();
  for (const client of [chat, feed, drained]) client.send('hello');
  await eventually(() => gateway.messages.length === 1);
  await holds(() => gateway.messages.length === 1, 300);
  assert.equal(await heldFor(gateway, 'consumer'), 2);
  isConsumed = true;
  for (const listener of listeners) listener();
  await eventually(() => gateway.messages.length === 3);
  isConsumed = false;
  for (const listener of listeners) listener();
  feed.send('unsaved');
  await gateway.gateway.stop('SIGTERM', 0);
  assert.deepEqual([(await chat.closed).code, (await feed.closed).code], [1001, 1013]);
});

test('hands over no more than the bus takes when it is pressed again while connections are released', async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  const listeners: (() => void)[] = [];
  const weigh = (): void => {
    for (const listener of listeners) listener();
  };
  let maxUnacknowledged = Number.POSITIVE_INFINITY;
  const messages = replaced(withheld.bus.messages, {
    get isPressed() {
      return withheld.unacknowledged >= maxUnacknowledged;
    },
    onPressure: (listener) => void listeners.push(() => listener(true)),
    publish: (message) => {
      const stored = withheld.bus.messages.publish(message);
      if (withheld.unacknowledged === maxUnacknowledged) weigh();
      return stored;
    },
  });
  await using gateway = await startGateway({ broker, bus: replaced(withheld.bus, { messages }) });
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(gateway.url('/chat'))));
  for (const client of clients) for (let index = 0; index < 300; index++) client.send(`${index}`);
  await eventually(() => withheld.published === 5 * 128);
  maxUnacknowledged = 0;
  weigh();
  withheld.acknowledge();
  await eventually(() => withheld.unacknowledged === 0);
  maxUnacknowledged = 50;
  weigh();
  assert.equal(withheld.published, 5 * 128 + 50);
  await eventually(() => {
    weigh();
    return gateway.messages.length === 1_500;
  });
  for (const client of clients) await client[Symbol.asyncDispose]();
});
