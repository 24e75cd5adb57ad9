import assert from 'node:assert/strict';
import test from 'node:test';
import { busGroup } from '../../crds/contract.ts';
import { gatewayGraceSeconds, processorGraceSeconds } from '../../crds/grace.ts';
import { createNatsBus } from '../../runtime/bus/nats/nats.ts';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually, holds } from '../kit/eventually.ts';
import { type HydrogenProcess, startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats, type TestNats } from '../kit/nats.ts';
import { stopProcess } from '../kit/stopped.ts';

const skip = await natsOrSkip();
const rulesTo = (url: string) => [{ name: 'all', pattern: '.*', destination: { url, timeoutSeconds: 1 } }];

/** A NATS server that keeps its connections open and answers nothing. */
async function freeze(nats: TestNats): Promise<Disposable> {
  const pid = nats.pid ?? assert.fail('nats-server does not run');
  await stopProcess(pid);
  return { [Symbol.dispose]: () => void process.kill(pid, 'SIGCONT') };
}

/** A processor of the group of these tests that does nothing but count. */
async function consumeAll(
  nats: TestNats,
  onMessage: (message: string, connectionId: string) => void,
): Promise<AsyncDisposable> {
  const bus = createNatsBus({
    group: busGroup('default', 'e2e'),
    servers: [nats.url],
    clientName: 'test',
    stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 1_000_000_000 },
    deadLetter: { maxAgeMs: 3_600_000, maxBytes: 1_000_000 },
    leaseMs: 30_000,
  });
  await bus.start();
  const options = { processor: 'count', endpoints: undefined, ackTimeoutMs: 60_000, maxInFlight: 1_000 };
  bus.messages.consume(
    { ...options, ordering: 'Unordered', partitions: 64 },
    (delivery) => {
      onMessage(JSON.parse(Buffer.from(delivery.payload).toString()).message, delivery.connectionId);
      delivery.ack();
    },
    (problem) => assert.fail(problem),
  );
  return { [Symbol.asyncDispose]: () => bus.stop() };
}

/** Milliseconds from SIGTERM to the end of a process that stops in an orderly way. @param meanwhile begins after SIGTERM */
async function stopMs(running: HydrogenProcess, meanwhile?: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  running.kill('SIGTERM');
  await meanwhile?.();
  assert.equal(await running.exited, 0);
  assert.ok(running.lines().some(({ msg }) => msg === 'stopped'));
  return performance.now() - startedMs;
}

test('a gateway stops within its grace period although NATS and its hooks hang', { skip }, async () => {
  await using nats = await startNats();
  // Connect hooks of /chat are answered; those of /slow, and every disconnect hook, hang.
  await using hooks = await startDestination((request) => {
    const { endpoint, code } = request.json();
    return endpoint === '/chat' && code === undefined ? {} : 'handled';
  });
  const calls = (named: string): number =>
    hooks.requests.filter((request) => (request.json().code === undefined ? 'connect' : 'disconnect') === named).length;
  await using destination = await startDestination();
  const group = { natsUrl: nats.url };
  await using _mproc = await startMprocProcess({ group, spec: { routing: { rules: rulesTo(destination.url) } } });
  const drain = { periodSeconds: 1 };
  await using gateway = await startGatewayProcess({
    group,
    spec: {
      endpoints: [{ path: '/chat' }, { path: '/slow' }],
      drain,
      hooks: {
        connect: { url: hooks.url, timeoutSeconds: 60 },
        disconnect: { url: hooks.url, timeoutSeconds: 60 },
      },
    },
  });
  await using client = await connect(gateway.url('/chat'));
  await using gone = await connect(gateway.url('/chat'));
  gone.socket.terminate();
  const refused = assert.rejects(connect(gateway.url('/slow')));
  await eventually(() => calls('disconnect') === 1 && calls('connect') === 3);
  using _frozen = await freeze(nats);
  client.send('hello');
  const ms = await stopMs(gateway);
  await refused;
  assert.ok(ms < gatewayGraceSeconds({ drain }) * 1000, `it took ${ms} ms`);
  assert.equal((await client.closed).code, 1013);
});

test('a gateway stops within its grace period although NATS hangs in the middle of the drain', { skip }, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const group = { natsUrl: nats.url };
  await using _mproc = await startMprocProcess({ group, spec: { routing: { rules: rulesTo(destination.url) } } });
  const drain = { periodSeconds: 4 };
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }], drain } });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(gateway.url('/chat'))));
  using stack = new DisposableStack();
  const ms = await stopMs(gateway, async () => {
    const first = await Promise.race(clients.map(({ closed }) => closed));
    assert.equal(first.code, 1001);
    stack.use(await freeze(nats));
    for (const { socket } of clients) if (socket.readyState === socket.OPEN) socket.send('too late');
  });
  assert.ok(ms < gatewayGraceSeconds({ drain }) * 1000, `it took ${ms} ms`);
  const codes = await Promise.all(clients.map(async ({ closed }) => (await closed).code));
  assert.deepEqual(codes.sort(), [1001, 1013, 1013, 1013]);
});

test('a gateway stops within its grace period although NATS hangs once its clients are gone', { skip }, async () => {
  await using nats = await startNats();
  await using hooks = await startDestination(() => 'handled');
  await using destination = await startDestination();
  const group = { natsUrl: nats.url };
  await using _mproc = await startMprocProcess({ group, spec: { routing: { rules: rulesTo(destination.url) } } });
  const drain = { periodSeconds: 1 };
  const disconnect = { url: hooks.url, timeoutSeconds: 60 };
  const spec = { endpoints: [{ path: '/chat' }], drain, hooks: { disconnect } };
  await using gateway = await startGatewayProcess({ group, spec });
  await using client = await connect(gateway.url('/chat'));
  using stack = new DisposableStack();
  const ms = await stopMs(gateway, async () => {
    assert.equal((await client.closed).code, 1001);
    // It now waits for the hook; its lease and its connection to NATS are still to be given up.
    await eventually(() => hooks.requests.length === 1);
    stack.use(await freeze(nats));
  });
  assert.ok(ms < gatewayGraceSeconds({ drain }) * 1000, `it took ${ms} ms`);
});

test('a message processor stops within its grace period although NATS hangs before its last delivery ends', {
  skip,
}, async () => {
  await using nats = await startNats();
  const answer = Promise.withResolvers<undefined>();
  await using destination = await startDestination(() => answer.promise);
  const group = { natsUrl: nats.url };
  const rules = [{ name: 'all', pattern: '.*', destination: { url: destination.url, timeoutSeconds: 5 } }];
  await using mproc = await startMprocProcess({ group, spec: { routing: { rules } } });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  await using client = await connect(gateway.url('/chat'));
  client.send('hello');
  await eventually(() => destination.requests.length === 1);
  using stack = new DisposableStack();
  const ms = await stopMs(mproc, async () => {
    await eventually(() => mproc.lines().some(({ msg }) => msg === 'stopping'));
    stack.use(await freeze(nats));
    answer.resolve(undefined);
  });
  const destinations = rules.map((rule) => ({
    ...rule,
    destination: { headers: [], reply: false, ...rule.destination },
  }));
  const graceMs = processorGraceSeconds({ routing: { rules: destinations, unmatched: 'DeadLetter' } }) * 1000;
  assert.ok(ms < graceMs, `it took ${ms} ms`);
});

test('a message processor stops within its grace period although NATS and its destination hang', { skip }, async () => {
  await using nats = await startNats();
  await using hanging = await startDestination(() => 'handled');
  const group = { natsUrl: nats.url };
  const rules = rulesTo(hanging.url);
  await using mproc = await startMprocProcess({ group, spec: { routing: { rules } } });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  await using client = await connect(gateway.url('/chat'));
  client.send('hello');
  await eventually(() => hanging.requests.length === 1);
  using _frozen = await freeze(nats);
  const ms = await stopMs(mproc);
  const routing = {
    rules: rules.map((rule) => ({ ...rule, destination: { headers: [], reply: false, ...rule.destination } })),
  };
  assert.ok(
    ms < processorGraceSeconds({ routing: { ...routing, unmatched: 'DeadLetter' } }) * 1000,
    `it took ${ms} ms`,
  );
});

test('a gateway that stops while messages pour in stores all that its clients sent before they saw 1001', {
  skip,
}, async () => {
  await using nats = await startNats();
  const stored = new Set<string>();
  await using _consumer = await consumeAll(nats, (message) => stored.add(message));
  await using gateway = await startGatewayProcess({
    group: { natsUrl: nats.url },
    spec: {
      endpoints: [{ path: '/chat' }],
      drain: { periodSeconds: 0 },
      limits: { maxStoredPerConnection: 1_000_000 },
    },
  });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(gateway.url('/chat'))));
  // Each connection has one message in flight, and the grace period ends after ten seconds.
  const count = 3_000;
  for (const [number, client] of clients.entries()) {
    for (let index = 0; index < count; index++) client.send(`${number}-${index}`);
  }
  await eventually(() => stored.size > 0);
  gateway.kill('SIGTERM');
  const codes = await Promise.all(clients.map(async (client) => (await client.closed).code));
  assert.deepEqual(codes, [1001, 1001, 1001, 1001]);
  assert.equal(await gateway.exited, 0);
  await eventually(() => stored.size === clients.length * count, { timeoutMs: 60_000 });
});

for (const [what, limits] of [
  ['its rate', { messagesPerSecond: 1 }],
  ['what it may have stored', { maxStoredPerConnection: 16 }],
] as const) {
  test(`a service's close of a client that is held by ${what} comes once all that was read is stored`, {
    skip,
  }, async () => {
    await using nats = await startNats();
    const stored = new Set<string>();
    let id = '';
    await using _consumer = await consumeAll(nats, (message, connectionId) => {
      id = connectionId;
      stored.add(message);
    });
    await using gateway = await startGatewayProcess({
      group: { natsUrl: nats.url },
      spec: { endpoints: [{ path: '/chat' }], limits },
    });
    await using client = await connect(gateway.url('/chat'));
    const count = 2_000;
    for (let index = 0; index < count; index++) client.send(`${index}`);
    await eventually(() => stored.size > 0);
    const url = `${gateway.managementUrl}/connections/${id}/_disconnect?code=4000`;
    assert.equal((await fetch(url, { method: 'POST' })).status, 204);
    assert.equal((await client.closed).code, 4000);
    await eventually(() => stored.size === count, { timeoutMs: 60_000 });
  });
}

test("a client's close during a loss of NATS is answered once its messages are stored, or with 1013", {
  skip,
}, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const group = { natsUrl: nats.url };
  await using _mproc = await startMprocProcess({ group, spec: { routing: { rules: rulesTo(destination.url) } } });
  const spec = { endpoints: [{ path: '/chat' }], drain: { periodSeconds: 0 } };
  await using gateway = await startGatewayProcess({ group, spec });
  await using saved = await connect(gateway.url('/chat'));
  await using unsaved = await connect(gateway.url('/chat'));
  for (const client of [saved, unsaved]) {
    const frozen = await freeze(nats);
    for (let index = 0; index < 20; index++) client.send('hello');
    client.socket.close(1000);
    await holds(() => client.socket.readyState === client.socket.CLOSING, 1_000);
    if (client === unsaved) await stopMs(gateway);
    frozen[Symbol.dispose]();
    assert.equal((await client.closed).code, client === saved ? 1000 : 1013);
    if (client === saved) await eventually(() => destination.requests.length === 20);
  }
});
