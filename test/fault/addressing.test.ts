/** Users and channels over gateway processes, of which one is frozen or stops. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { type GatewayProcess, startGatewayProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();

async function stage(gateways: number) {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const authorizer = stack.use(
    await startDestination((request) => {
      const query = Object.fromEntries(request.json().query as [string, string][]);
      return { body: JSON.stringify({ user: query.user, channels: query.channels?.split(',') }) };
    }),
  );
  const http = { url: authorizer.url, timeoutSeconds: 5 };
  const spec = { mode: 'ServerToClient', endpoints: [{ path: '/chat' }], authorizer: { http } };
  const start = (): Promise<GatewayProcess> => startGatewayProcess({ group: { natsUrl: nats.url }, spec });
  const list: GatewayProcess[] = [];
  for (let i = 0; i < gateways; i++) list.push(stack.use(await start()));
  const parts = stack.move();
  return {
    gateways: list,
    connect: async (gateway: GatewayProcess, query: string) => parts.use(await connect(gateway.url(`/chat?${query}`))),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function send(gateway: GatewayProcess, path: string): Promise<Record<string, number>> {
  const response = await fetch(`${gateway.managementUrl}${path}`, { method: 'POST', body: 'hi' });
  assert.equal(response.status, 200);
  return (await response.json()) as Record<string, number>;
}

async function questions({ probesUrl }: GatewayProcess): Promise<number> {
  const page = await (await fetch(`${probesUrl}/metrics`)).text();
  return Number(/^hydrogen_gateway_questions_total\{kind="send"\} (\d+)$/m.exec(page)?.[1] ?? 0);
}

test('a message to a channel reaches the gateways that have members, and no other', { skip }, async () => {
  await using kit = await stage(4);
  const [one, two, three, four] = kit.gateways as [GatewayProcess, GatewayProcess, GatewayProcess, GatewayProcess];
  await kit.connect(two, 'channels=room');
  await kit.connect(three, 'channels=other');
  for (let i = 0; i < 20; i++) assert.equal((await send(one, '/channels/room/_send')).sent, 1);
  assert.deepEqual(await Promise.all([one, two, three, four].map(questions)), [0, 20, 0, 0]);
});

test('a frozen gateway counts as unanswered until its lease is over, and again when it is back', { skip }, async () => {
  await using kit = await stage(3);
  const [one, two, three] = kit.gateways as [GatewayProcess, GatewayProcess, GatewayProcess];
  await kit.connect(two, 'user=a');
  await kit.connect(three, 'user=a');
  assert.deepEqual(await send(one, '/users/a/_send'), { connections: 2, sent: 2, full: 0, unanswered: 0 });
  process.kill(two.pid, 'SIGSTOP');
  try {
    assert.deepEqual(await send(one, '/users/a/_send'), { connections: 1, sent: 1, full: 0, unanswered: 1 });
    // Nobody waits for it a second time.
    const startedMs = performance.now();
    assert.equal((await send(one, '/users/a/_send')).unanswered, 1);
    assert.ok(performance.now() - startedMs < 2_500);
    await eventually(async () => (await send(one, '/users/a/_send')).unanswered === 0, {
      timeoutMs: 60_000,
      everyMs: 500,
    });
  } finally {
    process.kill(two.pid, 'SIGCONT');
  }
  const back = await eventually(() => kit.connect(two, 'user=a'), { timeoutMs: 30_000, everyMs: 200 });
  assert.equal((await send(one, '/users/a/_send')).connections, 2);
  await eventually(() => back.texts.length > 0);
});

test('a gateway that has stopped is not waited for', {
  skip,
}, async () => {
  await using kit = await stage(3);
  const [one, two, three] = kit.gateways as [GatewayProcess, GatewayProcess, GatewayProcess];
  await kit.connect(three, 'user=a');
  await send(one, '/users/a/_send');
  two.kill('SIGTERM');
  await two.exited;
  const startedMs = performance.now();
  assert.deepEqual(await send(one, '/users/a/_send'), { connections: 1, sent: 1, full: 0, unanswered: 0 });
  assert.ok(performance.now() - startedMs < 2_500);
});
