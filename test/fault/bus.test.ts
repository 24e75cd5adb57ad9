import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { type Client, connect } from '../kit/client.ts';
import { startDestination, type TestDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { type GatewayProcess, startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats, type TestNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const connections = 20;
const textBytes = 10_000;

interface Scene {
  readonly nats: TestNats;
  readonly destination: TestDestination;
  readonly gateway: GatewayProcess;
  readonly clients: readonly Client[];
  /** Numbers that reached the destination. */
  readonly delivered: ReadonlySet<number>;
  /** From now on the destination answers a message when this resolves. */
  holdUntil(gate: Promise<void>): void;
}

async function stage(groupSpec: Record<string, unknown>, play: (scene: Scene) => Promise<void>): Promise<void> {
  await using nats = await startNats();
  const delivered = new Set<number>();
  let gate = Promise.resolve();
  await using destination = await startDestination(async (request) => {
    await gate;
    delivered.add(Number.parseInt(String(request.json().message), 10));
    return undefined;
  });
  const group = { natsUrl: nats.url, spec: groupSpec };
  const rules = [{ name: 'all', pattern: '.*', destination: { url: destination.url, timeoutSeconds: 60 } }];
  await using _mproc = await startMprocProcess({
    group,
    spec: { routing: { rules }, delivery: { ackTimeoutSeconds: 5 } },
  });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(gateway.url('/chat'))));
  await play({
    nats,
    destination,
    gateway,
    clients,
    delivered,
    holdUntil: (next) => {
      gate = next;
    },
  });
  assert.ok(clients.every((client) => client.socket.readyState === client.socket.OPEN));
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

/** Sends numbered messages until it is stopped, far more than a gateway may keep while it cannot publish them. */
function flood(clients: readonly Client[]): { stop(): number; readonly sent: number } {
  let sent = 0;
  const timer = setInterval(() => {
    for (const client of clients) {
      if (client.socket.bufferedAmount > 4_000_000) continue;
      for (let index = 0; index < 10; index++) client.send(`${sent++} `.padEnd(textBytes, '.'));
    }
  }, 20);
  return {
    get sent() {
      return sent;
    },
    stop() {
      clearInterval(timer);
      return sent;
    },
  };
}

async function everythingArrives(t: TestContext, { destination, delivered }: Scene, sent: number): Promise<void> {
  await eventually(() => delivered.size === sent, { timeoutMs: 90_000, everyMs: 100 });
  t.diagnostic(`sent ${sent}, delivered ${delivered.size}, attempts ${destination.requests.length}`);
}

function residentMiB({ pid }: GatewayProcess): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

const onLinux = process.platform === 'linux' ? false : 'reads /proc';

test('NATS down for 10 s under load: clients wait, memory stays bounded, everything arrives', {
  skip: skip || onLinux,
}, async (t) => {
  await stage({}, async (scene) => {
    const { nats, destination, gateway, clients } = scene;
    const load = flood(clients);
    await eventually(() => destination.requests.length > 100);
    await nats.kill('SIGKILL');
    const sentBefore = load.sent;
    await pass(10_000);
    const residentDuring = residentMiB(gateway);
    const stalled = load.sent;
    await nats.start();
    await everythingArrives(t, scene, load.stop());
    const offeredMiB = ((stalled - sentBefore) * textBytes) / 1_048_576;
    t.diagnostic(
      `gateway ${Math.round(residentDuring)} MiB resident while clients offered ${Math.round(offeredMiB)} MiB more`,
    );
    assert.ok(residentDuring < 400, `${residentDuring} MiB`);
  });
});

test('NATS that hangs for some seconds under load loses nothing and disconnects nobody', {
  skip: skip || onLinux,
}, async (t) => {
  await stage({}, async (scene) => {
    const { nats, destination, clients } = scene;
    const load = flood(clients);
    await eventually(() => destination.requests.length > 100);
    assert.ok(nats.pid !== undefined);
    process.kill(nats.pid, 'SIGSTOP');
    await pass(8_000);
    process.kill(nats.pid, 'SIGCONT');
    await eventually(() => destination.requests.length > 1_000);
    await everythingArrives(t, scene, load.stop());
  });
});

test('a full stream slows clients down instead of losing messages', { skip: skip || onLinux }, async (t) => {
  await stage({ stream: { maxBytes: '4Mi' } }, async (scene) => {
    const { gateway, clients } = scene;
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    scene.holdUntil(gate);
    const load = flood(clients);
    await eventually(
      async () => /^hydrogen_gateway_pressed 1$/m.test(await (await fetch(`${gateway.probesUrl}/metrics`)).text()),
      { timeoutMs: 30_000 },
    );
    await pass(2_000);
    const sent = load.stop();
    release();
    await everythingArrives(t, scene, sent);
  });
});
