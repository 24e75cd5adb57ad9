import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { type GatewayProcess, startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();

/** The status of a push, and how long it took. */
async function push(gateway: GatewayProcess, connectionId: string, body: string) {
  const startedAtMs = performance.now();
  const url = `${gateway.managementUrl}/connections/${connectionId}/_send`;
  const { status } = await fetch(url, { method: 'POST', body });
  return { status, ms: performance.now() - startedAtMs };
}

test('pushes to a frozen gateway get 410 at once when its lease is over, and its clients get nothing after that', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const group = { natsUrl: nats.url, spec: { instanceLeaseSeconds: 10 } };
  const endpoints = [{ path: '/chat' }];
  const rules = [{ name: 'all', pattern: '.*', destination: { url: destination.url } }];
  await using _mproc = await startMprocProcess({ group, spec: { routing: { rules } } });
  await using frozen = await startGatewayProcess({ group, spec: { endpoints } });
  await using asked = await startGatewayProcess({ group, spec: { endpoints } });
  await using client = await connect(frozen.url('/chat'));
  client.send('hello');
  const hello = await eventually(() => destination.requests[0] ?? false);
  const connectionId = String(hello.json().connection_id);
  assert.equal((await push(asked, connectionId, 'before')).status, 200);
  assert.equal(await client.nextText(), 'before');

  frozen.kill('SIGSTOP');
  const frozenAtMs = performance.now();
  // While the lease is held nobody knows better. Those on the way when it ends reach the gateway before it wakes up.
  const during = new Map<string, Promise<{ status: number }>>();
  for (let i = 0; performance.now() - frozenAtMs < 13_000; i++) {
    during.set(`during ${i}`, push(asked, connectionId, `during ${i}`));
    await setTimeout(250);
  }
  const statuses = new Map<string, number>();
  for (const [text, outcome] of during) statuses.set(text, (await outcome).status);
  assert.equal(statuses.get('during 0'), 504);
  await eventually(async () => (await push(asked, connectionId, 'later')).status === 410, { timeoutMs: 30_000 });
  assert.ok(performance.now() - frozenAtMs > 8_000, 'it was called gone before its lease was over');
  const after = await Promise.all(Array.from({ length: 5 }, () => push(asked, connectionId, 'after')));
  for (const { status, ms } of after) {
    assert.equal(status, 410);
    assert.ok(ms < 2_000, `it took ${ms} ms`);
  }

  frozen.kill('SIGCONT');
  assert.equal((await client.closed).code, 1013);
  const gone = [...statuses].filter(([, status]) => status === 410).map(([text]) => text);
  assert.deepEqual(
    client.texts.filter((text) => ['after', 'later', ...gone].includes(text)),
    [],
  );
});
