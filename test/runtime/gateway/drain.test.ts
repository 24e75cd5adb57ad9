import assert from 'node:assert/strict';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { connect, refusal } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';
import { replaced } from '../../kit/replaced.ts';

test('closes its connections with 1001 spread over the drain period, while it refuses upgrades and is not ready', async () => {
  await using gateway = await startGateway({ spec: { drain: { periodSeconds: 2 } } });
  const startedAtMs = performance.now();
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(gateway.url('/chat'))));
  const closedAtMs: number[] = [];
  const codes = clients.map(async (client) => {
    const { code } = await client.closed;
    closedAtMs.push(performance.now() - startedAtMs);
    return code;
  });
  const stopped = gateway.gateway.stop('SIGTERM');
  assert.equal((await fetch(`${gateway.probesUrl}/readyz`)).status, 503);
  const { status, body } = await refusal(gateway.url('/chat'));
  assert.deepEqual([status, body.code], [503, 'HYD_DRAINING']);
  assert.deepEqual(new Set(await Promise.all(codes)), new Set([1001]));
  const [first = 0, last = 0] = [closedAtMs[0], closedAtMs.at(-1)];
  assert.ok(last - first > 1_000, `all eight were closed within ${last - first} ms of a period of 2 s`);
  await stopped;
});

test('stores what clients sent before they saw the close, and pushes reach those that are still open', async () => {
  await using gateway = await startGateway({ spec: { drain: { periodSeconds: 1 } } });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(gateway.url('/chat'))));
  const stopped = gateway.gateway.stop('SIGTERM');
  let sent = 0;
  const timer = setInterval(() => {
    for (const client of clients) {
      if (client.socket.readyState !== client.socket.OPEN) continue;
      client.send(`message ${sent}`);
      sent += 1;
    }
  }, 5);
  await Promise.all(clients.map((client) => client.closed));
  clearInterval(timer);
  await stopped;
  assert.ok(sent > 100);
  await eventually(() => gateway.messages.length === sent);
});

test('closes with 1013 what it cannot save', async () => {
  await using gateway = await startGateway({ spec: { drain: { periodSeconds: 0 } } });
  await using client = await connect(gateway.url('/chat'));
  gateway.broker.setDown(true);
  client.send('unsaved');
  const stopped = gateway.gateway.stop('SIGTERM');
  assert.equal((await client.closed).code, 1013);
  await stopped;
});

test('calls the disconnect hook for every connection before it stops', async () => {
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { drain: { periodSeconds: 0 }, hooks: { disconnect: { url: gone.url } } },
  });
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(gateway.url('/chat'))));
  await gateway.gateway.stop('SIGTERM');
  assert.equal(gone.requests.length, 20);
  assert.deepEqual(new Set(gone.requests.map((request) => request.json().code)), new Set([1001]));
  await Promise.all(clients.map((client) => client.closed));
});

test('calls the disconnect hook for clients that never answer the close frame', async () => {
  await using gone = await startDestination();
  await using gateway = await startGateway({
    spec: { drain: { periodSeconds: 0 }, hooks: { disconnect: { url: gone.url } } },
  });
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(gateway.url('/chat'))));
  for (const client of clients) client.socket.pause();
  await gateway.gateway.stop('SIGTERM');
  assert.deepEqual(
    gone.requests.map((request) => request.json().code),
    [1001, 1001, 1001, 1001, 1001],
  );
  for (const client of clients) client.socket.terminate();
});

test('waits for a connect hook that is running, refuses its client, and calls the disconnect hook', async () => {
  await using gone = await startDestination();
  let answer = (): void => {};
  await using hook = await startDestination(async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return undefined;
  });
  await using gateway = await startGateway({
    spec: { drain: { periodSeconds: 0 }, hooks: { connect: { url: hook.url }, disconnect: { url: gone.url } } },
  });
  const refused = refusal(gateway.url('/chat'));
  await eventually(() => hook.requests.length === 1);
  const stopped = gateway.gateway.stop('SIGTERM');
  answer();
  assert.equal((await refused).body.code, 'HYD_DRAINING');
  await stopped;
  assert.deepEqual(
    gone.requests.map((request) => request.json().code),
    [1006],
  );
});

test('closes with 1013 and logs an error when the bus hangs while it drains', async () => {
  const broker = createMemoryBroker();
  let published = 0;
  const real = broker.connect();
  const messages = replaced(real.messages, {
    publish: () => {
      published += 1;
      return new Promise(() => {});
    },
    get unacknowledged() {
      return { messages: published, bytes: published };
    },
  });
  const bus = replaced(real, { messages });
  await using gateway = await startGateway({ broker, bus, spec: { drain: { periodSeconds: 0 } } });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 50; index++) client.send(`${index}`);
  await eventually(() => published === 50);
  await gateway.gateway.stop('SIGTERM');
  assert.equal((await client.closed).code, 1013);
  const line = gateway.lines.find(({ msg }) => msg.startsWith('stopped with client messages'));
  assert.deepEqual([line?.level, line?.unsavedMessages], ['error', 50]);
});

test('keeps reading from a client that is over its rate, so that nothing it sent before the close is lost', async () => {
  await using gateway = await startGateway({ spec: { drain: { periodSeconds: 0 }, limits: { messagesPerSecond: 1 } } });
  await using client = await connect(gateway.url('/chat'));
  for (let index = 0; index < 40; index++) client.send('x'.repeat(20_000));
  await eventually(() => gateway.messages.length > 0);
  await gateway.gateway.stop('SIGTERM');
  assert.equal((await client.closed).code, 1001);
  assert.equal(gateway.messages.length, 40);
});
