import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ack, collect, message, text } from '../../../contract/bus/kit.ts';
import { eventually, holds } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { stopProcess } from '../../../kit/stopped.ts';
import { natsGroup, untilEntries } from './kit.ts';

const skip = await natsOrSkip();

describe('nats messages when the server fails', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('loses nothing when the server is killed while messages are unacknowledged', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { ackTimeoutMs: 3000 }, ack);
    const sent = Array.from({ length: 3000 }, (_, i) => message({ connectionId: `gw-${i % 50}` }));
    const stored = sent.map((one) => bus.messages.publish(one));
    await Promise.race(stored);
    await server.kill('SIGKILL');
    for (let i = 0; i < 500; i++) {
      const one = message();
      sent.push(one);
      stored.push(bus.messages.publish(one));
    }
    await server.start();
    await Promise.all(stored);
    await eventually(() => new Set(got.deliveries.map(({ id }) => id)).size === sent.length, { timeoutMs: 30_000 });
  });

  test('stores an unconsumed message once, however often it is published', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { maxInFlight: 1 }, (delivery) => {
      if (text(delivery.payload) === 'probe') delivery.ack();
    });
    await untilEntries(bus);
    const one = message();
    await bus.messages.publish(one);
    await server.restart();
    await bus.messages.publish(one);
    await bus.messages.publish(message());
    await eventually(() => got.consumption.isReady);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 1, unacknowledged: 1 }));
  });

  test('publishes again what a hung server did not acknowledge', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    await eventually(() => bus.messages.isConsumed('/chat'));
    const pid = server.pid ?? assert.fail('it runs');
    await stopProcess(pid);
    const stored = bus.messages.publish(message());
    await eventually(() => bus.messages.isPressed);
    process.kill(pid, 'SIGCONT');
    await stored;
    await eventually(() => !bus.messages.isPressed && got.deliveries.length === 1);
    await holds(() => got.deliveries.length === 1, 200);
  });

  test('sends the acknowledgements of deliveries that ended while the server was down', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, { ackTimeoutMs: 2000 });
    await bus.messages.publish(message());
    const open = await got.delivery('hello');
    await server.stop();
    await eventually(() => bus.status === 'down');
    open.ack();
    await server.start();
    await eventually(() => got.consumption.isReady);
    await eventually(async () => assert.deepEqual(await got.consumption.lag(), { pending: 0, unacknowledged: 0 }));
    assert.equal(got.deliveries.length, 1);
  });

  test('delivers the open deliveries of a killed process to another one', async () => {
    await using group = natsGroup(server);
    const holder = join(import.meta.dirname, 'holder.ts');
    const child = spawn(process.execPath, [holder, server.url, group.options.group], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const bus = await group.started();
    await eventually(() => bus.messages.isConsumed('/chat'));
    await Promise.all([bus.messages.publish(message()), bus.messages.publish(message())]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await exited;
    const got = await collect(bus, { ackTimeoutMs: 1000 }, ack);
    await eventually(() => new Set(got.deliveries.map(({ id }) => id)).size === 2);
    assert.ok(got.deliveries.some(({ attempt }) => attempt > 1));
  });
});

describe('nats messages when the stream refuses them or is deleted', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('refuses a message larger than the whole stream, and stores the next one', async () => {
    const stream = { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 128 * 1024 } as const;
    await using group = natsGroup(server, { stream });
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    await assert.rejects(bus.messages.publish(message({ payload: Buffer.alloc(200_000) })), {
      code: 'HYD_MESSAGE_TOO_LARGE',
    });
    await bus.messages.publish(message());
    await eventually(() => got.deliveries.length === 1);
    assert.equal(bus.messages.isPressed, false);
  });

  test('creates its consumer again after it was deleted', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    const { manager } = await group.client();
    await manager.consumers.delete(group.subjects.stream, 'chat');
    await eventually(async () => assert.deepEqual(await group.consumerNames(), ['chat', 'chat_e']));
    await eventually(() => got.consumption.isReady);
    await bus.messages.publish(message());
    await got.delivery('hello');
  });

  test('creates its stream again after it was deleted, and stores what was refused meanwhile', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const got = await collect(bus, {}, ack);
    const { manager } = await group.client();
    await manager.streams.delete(group.subjects.stream);
    await bus.messages.publish(message());
    // With interest retention a message that arrives before the consumer exists again is not kept.
    await eventually(async () => {
      await bus.messages.publish(message());
      assert.ok(got.deliveries.length > 0);
    });
  });

  test('keeps the order of each connection while the stream refuses some messages', async () => {
    await using group = natsGroup(server, {
      stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 16 * 1024 },
    });
    const bus = await group.started();
    const last = new Map<string, number>();
    let consumed = 0;
    await collect(bus, { ordering: 'PerConnection', partitions: 4 }, (delivery) => {
      const [, number = 0] = /^(\d+) /.exec(text(delivery.payload))?.map(Number) ?? [];
      assert.equal(number, (last.get(delivery.connectionId) ?? 0) + 1);
      last.set(delivery.connectionId, number);
      consumed++;
      delivery.ack();
    });
    let presses = 0;
    bus.messages.onPressure((isPressed) => {
      if (isPressed) presses++;
    });
    const sent: Promise<number>[] = [];
    for (let number = 1; number <= 60; number++) {
      for (const connectionId of ['a-1', 'b-2', 'c-3', 'd-4', 'e-5']) {
        const payload = Buffer.from(`${number} ${'x'.repeat((number * 977) % 3000)}`);
        sent.push(bus.messages.publish(message({ connectionId, payload })));
      }
    }
    await Promise.all(sent);
    await eventually(() => consumed === 300);
    assert.ok(presses > 0, 'the stream was full at times');
  });

  test('rejects a message that is larger than the limit of the server', async () => {
    await using small = await startNats({ config: 'max_payload: 65536' });
    await using group = natsGroup(small);
    await collect(await group.started());
    const bus = group.bus();
    const refused = assert.rejects(bus.messages.publish(message({ payload: Buffer.alloc(100_000) })), {
      code: 'HYD_MESSAGE_TOO_LARGE',
    });
    await bus.start();
    await refused;
    assert.deepEqual(bus.messages.unacknowledged, { messages: 0, bytes: 0 });
  });
});

describe('nats dead letters when things fail', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('refuses a dead letter while the dead-letter stream is full', async () => {
    await using group = natsGroup(server, { deadLetter: { maxAgeMs: 3_600_000, maxBytes: 8192 } });
    const bus = await group.started();
    await collect(bus);
    const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
    const payload = Buffer.alloc(3000);
    const outcomes: string[] = [];
    for (let n = 0; n < 4; n++) outcomes.push(await bus.deadLetters.store('chat', message({ payload }), 1, cause));
    assert.deepEqual(outcomes, ['stored', 'stored', 'refused', 'refused']);
    assert.equal(bus.messages.isPressed, false);
    assert.equal(await bus.deadLetters.of('chat').purge(), 2);
    assert.equal(await bus.deadLetters.store('chat', message({ payload }), 1, cause), 'stored');
  });

  test('stores a dead letter of the maximum size, however long its cause is', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    await collect(bus);
    const payload = Buffer.alloc(bus.messages.maxPayloadBytes);
    await bus.deadLetters.store('chat', message({ payload }), 1, {
      code: 'HYD_DESTINATION_FAILED',
      detail: 'ü'.repeat(9000),
    });
    const [letter] = await bus.deadLetters.of('chat').list(1);
    assert.equal(letter?.payload.byteLength, bus.messages.maxPayloadBytes);
    assert.match(letter?.detail ?? '', /^ü{100,}$/);
  });
});

describe('nats leases when things fail', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('holds its lost lease again after the server hung while the link stayed up', async () => {
    await using group = natsGroup(server, { leaseMs: 3000 });
    const bus = await group.started();
    let lost = 0;
    const lease = bus.leases.hold('gw-1', () => lost++);
    await eventually(() => lease.isHeld);
    const pid = server.pid ?? assert.fail('it runs');
    process.kill(pid, 'SIGSTOP');
    await eventually(() => lost === 1);
    process.kill(pid, 'SIGCONT');
    await eventually(() => lease.isHeld);
    assert.equal(await bus.leases.isHeld('gw-1'), true);
    await lease.release();
    assert.equal(await bus.leases.isHeld('gw-1'), false);
  });

  test('a lease is over for its owner by the clock, before any timer of a process that was frozen', async () => {
    await using group = natsGroup(server, { leaseMs: 1000 });
    const bus = await group.started();
    const lease = bus.leases.hold('gw-1', () => {});
    await eventually(() => lease.isHeld);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
    assert.equal(lease.isHeld, false);
    await eventually(() => lease.isHeld);
    await lease.release();
  });

  test('never reports a lease as not held when a server without a disk lost it', async () => {
    await using group = natsGroup(server, {
      stream: { storage: 'Memory', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 1024 * 1024 },
      leaseMs: 3000,
    });
    const owner = await group.started({ reconnectJitterMs: 1000 });
    const asker = await group.started({ reconnectJitterMs: 0 });
    const lease = owner.leases.hold('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await asker.leases.isHeld('gw-1')) === true);
    await server.restart();
    await eventually(async () => {
      const isHeld = await asker.leases.isHeld('gw-1');
      if (isHeld === false) throw new Error('said to be gone');
      return isHeld === true;
    });
    await lease.release();
    assert.equal(await asker.leases.isHeld('gw-1'), false);
  });

  test('claims its lease again after the bucket was deleted', async () => {
    await using group = natsGroup(server, { leaseMs: 1500 });
    const bus = await group.started();
    const lease = bus.leases.hold('gw-1', () => assert.fail('lost'));
    await eventually(async () => (await bus.leases.isHeld('gw-1')) === true);
    const { manager } = await group.client();
    await manager.streams.delete(`KV_${group.subjects.leaseBucket}`);
    assert.equal(await bus.leases.isHeld('gw-1'), undefined);
    await eventually(async () => (await bus.leases.isHeld('gw-1')) === true);
    await lease.release();
  });
});

describe('nats bus and credentials', { skip }, () => {
  test('reads its credentials for every attempt, and treats no refusal as final', async () => {
    await using server = await startNats({ args: ['--auth', 'right'] });
    await using group = natsGroup(server);
    const events: string[] = [];
    let token = 'wrong';
    const bus = group.bus({
      authentication: async () => ({ token }),
      onEvent: ({ kind }) => events.push(kind),
    });
    await bus.start();
    await eventually(() => events.filter((kind) => kind === 'connectFailed').length >= 3);
    assert.equal(bus.status, 'down');
    token = 'right';
    await eventually(() => bus.status === 'up');
    assert.equal(events.at(-1), 'connected');
  });

  test('takes the user and password from the address', async () => {
    await using server = await startNats({ args: ['--user', 'us er', '--pass', 'p@ss'] });
    await using group = natsGroup(server);
    const servers = [server.url.replace('//', `//${encodeURIComponent('us er')}:${encodeURIComponent('p@ss')}@`)];
    await group.started({ servers });
  });

  test('connects to another server when one is down', async () => {
    await using server = await startNats();
    await using group = natsGroup(server);
    await group.started({ servers: ['nats://127.0.0.1:1', server.url] });
  });
});
