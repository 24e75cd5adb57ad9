import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { encodeBroadcast } from '../../../runtime/peers/codec.ts';
import { connect } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';
import { replaced } from '../../kit/replaced.ts';

test('reads no more of a flood than one connection may have unacknowledged', async () => {
  const broker = createMemoryBroker();
  let published = 0;
  const publish = (): Promise<number> => {
    published += 1;
    return new Promise(() => {});
  };
  const real = broker.connect();
  const bus = replaced(real, { messages: replaced(real.messages, { publish }) });
  await using gateway = await startGateway({ broker, bus });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 5_000; index++) client.send('y'.repeat(2_000));
  await eventually(() => published >= 128);
  await holds(() => published < 200, 500);
  assert.equal(client.socket.readyState, client.socket.OPEN);
});

test('does not read from a client that connects while the bus is pressed', async () => {
  const broker = createMemoryBroker();
  let isPressed = true;
  const listeners: ((isPressed: boolean) => void)[] = [];
  const real = broker.connect();
  const messages = replaced(real.messages, {
    get isPressed() {
      return isPressed;
    },
    onPressure: (listener) => void listeners.push(listener),
  });
  const bus = replaced(real, { messages });
  await using gateway = await startGateway({ broker, bus });
  await using client = await connect(gateway.url('/chat'));
  client.send('early');
  await holds(() => gateway.messages.length === 0, 300);
  isPressed = false;
  for (const listener of listeners) listener(false);
  await eventually(() => gateway.messages.length === 1);
});

test('does not time out a client whose pongs it does not read', async () => {
  await using gateway = await startGateway({ spec: { heartbeat: { intervalSeconds: 1, timeoutSeconds: 2 } } });
  await using client = await connect(gateway.url('/chat'));
  gateway.broker.setDown(true);
  await holds(() => client.socket.readyState === client.socket.OPEN, 4_000);
  gateway.broker.setDown(false);
  client.send('still here');
  await eventually(() => gateway.messages.length === 1);
});

test('ignores everything that a client sends after its message was refused', async () => {
  await using gateway = await startGateway({ spec: { mode: 'ServerToClient' }, isConsumed: false });
  await eventually(() => gateway.gateway.readiness.reason === undefined);
  await using client = await connect(gateway.url('/chat'));
  for (const text of ['one', 'two', 'three']) client.send(text);
  assert.equal((await client.closed).code, 1003);
  assert.equal(gateway.lines.filter(({ msg }) => msg === 'client message refused').length, 1);
});

test('holds its lease again after it was cut off for too long, and accepts clients only then', async () => {
  const broker = createMemoryBroker({ leaseMs: 500 });
  await using gateway = await startGateway({ broker });
  await using client = await connect(gateway.url('/chat'));
  broker.setDown(true);
  assert.equal((await client.closed).code, 1013);
  broker.setDown(false);
  await eventually(() => gateway.gateway.readiness.reason === undefined);
  const other = broker.connect();
  await other.start();
  assert.equal(await other.leases.isHeld(gateway.gateway.instanceId), true);
  await using again = await connect(gateway.url('/chat'));
  assert.equal(again.socket.readyState, again.socket.OPEN);
  await other.stop();
});

test('limits what it buffers for a client that does not read, however small the messages are', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  client.socket.pause();
  const bus = gateway.broker.connect();
  await bus.start();
  const payload = encodeBroadcast({ endpoints: undefined, data: Buffer.from('x'), isBinary: false });
  let sent = 0;
  await eventually(
    () => {
      for (let index = 0; index < 20_000; index++) void bus.peers.broadcast(payload);
      sent += 20_000;
      return (
        gateway.lines.some(({ msg, code }) => msg === 'connection closed' && code === 'HYD_SLOW_CLIENT') ||
        sent >= 3_000_000
      );
    },
    { timeoutMs: 60_000, everyMs: 50 },
  );
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  const written = Number(/^hydrogen_gateway_messages_sent_total\{endpoint="\/chat"\} (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(written < 2_000_000, `${written} messages of one byte were kept for a client that reads none`);
  await bus.stop();
});
