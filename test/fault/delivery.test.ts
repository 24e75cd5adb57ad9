import assert from 'node:assert/strict';
import test from 'node:test';
import { type Client, connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGatewayProcess, startHydrogen, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const connections = 200;
const perConnection = 100;
const total = connections * perConnection;

/** One in so many messages is refused for good, and one in so many fails at its first attempt. */
const rejectEvery = 2_000;
const failEvery = 50;

test(`every acknowledged message of ${total} from ${connections} connections is delivered or dead-lettered, while processors are killed twice and NATS is restarted`, {
  skip,
  timeout: 180_000,
}, async (t) => {
  await using nats = await startNats();
  const delivered = new Set<number>();
  const rejected = new Set<number>();
  const failedOnce = new Set<number>();
  await using destination = await startDestination((request) => {
    const number = Number(request.json().message);
    if (number % rejectEvery === 0) {
      rejected.add(number);
      return { status: 422 };
    }
    if (number % failEvery === 1 && !failedOnce.has(number)) {
      failedOnce.add(number);
      return { status: 503 };
    }
    delivered.add(number);
    return undefined;
  });
  const group = { natsUrl: nats.url };
  const spec = {
    routing: { rules: [{ name: 'all', pattern: '.*', destination: { url: destination.url } }] },
    delivery: { ackTimeoutSeconds: 5, backoffSeconds: [1] },
  };
  await using first = await startMprocProcess({ group, spec });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(gateway.url('/chat'))));

  const sending = sendAll(clients);
  await eventually(() => delivered.size > total / 10, { timeoutMs: 60_000 });
  first.kill('SIGKILL');
  await first.exited;
  await using second = await startMprocProcess({ group, spec });
  await eventually(() => delivered.size > total / 4, { timeoutMs: 60_000 });
  await nats.kill('SIGKILL');
  await nats.start();
  await eventually(() => delivered.size > total / 2, { timeoutMs: 60_000 });
  second.kill('SIGKILL');
  await second.exited;
  await using third = await startMprocProcess({ group, spec });
  await sending;

  const received = (): Promise<number> =>
    metric(gateway.probesUrl, 'hydrogen_gateway_messages_received_total{endpoint="/chat"}');
  await eventually(async () => (await received()) === total, { timeoutMs: 30_000 });
  await eventually(async () => (await unacknowledged(gateway.probesUrl)) === 0, { timeoutMs: 30_000 });
  const acknowledged = (await received()) - (await unacknowledged(gateway.probesUrl));
  await eventually(() => delivered.size + rejected.size === total, { timeoutMs: 60_000 });
  const letters = await eventually(
    async () => {
      const numbers = await deadLetters(third.file);
      return numbers.size === rejected.size && numbers;
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
  const attempts = destination.requests.length;
  t.diagnostic(
    `sent ${total}, acknowledged ${acknowledged}, delivered ${delivered.size}, dead-lettered ${letters.size}, ` +
      `lost ${acknowledged - delivered.size - letters.size}, attempts ${attempts} (${attempts - total} more than messages)`,
  );
  assert.equal(acknowledged, total);
  assert.deepEqual([...letters].sort(), [...rejected].sort());
  assert.equal(delivered.size + letters.size, total);
  assert.ok(clients.every((client) => client.socket.readyState === client.socket.OPEN));
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

/** Numbers from 0, round robin over the connections, at a pace that leaves room for the faults. */
async function sendAll(clients: readonly Client[]): Promise<void> {
  for (let round = 0; round < perConnection; round++) {
    for (const [index, client] of clients.entries()) client.send(String(round * connections + index));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function metric(probesUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${probesUrl}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

function unacknowledged(probesUrl: string): Promise<number> {
  return metric(probesUrl, 'hydrogen_gateway_messages_unacknowledged');
}

/** The numbers of the dead letters, as the command shows them. */
async function deadLetters(config: string): Promise<Set<number>> {
  await using list = startHydrogen(['dlq', 'list', '--config', config, '--json', '--limit', '1000']);
  assert.equal(await list.exited, 0, list.output());
  const numbers = new Set<number>();
  for (const { sequence } of list.lines()) {
    await using show = startHydrogen(['dlq', 'show', String(sequence), '--config', config]);
    assert.equal(await show.exited, 0, show.output());
    numbers.add(Number(JSON.parse(show.output()).body.message));
  }
  return numbers;
}
