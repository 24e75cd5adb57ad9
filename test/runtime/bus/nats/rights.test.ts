import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

import type { NatsRole } from '../../../../crds/index.ts';
import { createNatsGroup, type NatsGroup } from '../../../../runtime/bus/nats/group.ts';
import { createNatsBus } from '../../../../runtime/bus/nats/nats.ts';
import { consumerOptionsOf, natsOptionsOf } from '../../../../runtime/bus/options.ts';
import { type Client, connect } from '../../../kit/client.ts';
import { startDestination } from '../../../kit/destination.ts';
import { everythingTo, groupDocument, parsed, processorDocument } from '../../../kit/documents.ts';
import { eventually } from '../../../kit/eventually.ts';
import {
  type ConfiguredProcess,
  type MemberOptions,
  startGatewayProcess,
  startHydrogen,
  startMprocProcess,
} from '../../../kit/hydrogen.ts';
import { natsOrSkip } from '../../../kit/nats.ts';
import { type GuardedNats, startGuardedNats } from './rights-kit.ts';

const skip = await natsOrSkip();
const slow = { timeoutMs: 120_000 };
type Fields = Record<string, unknown>;

const seedOf = (role: NatsRole): Fields => ({ name: role, key: 'seed' });

function groupSpec(url: string, maxBytes = '16Mi'): Fields {
  const nats = {
    servers: [url],
    credentialsSecretRef: seedOf('operator'),
    gatewayCredentialsSecretRef: seedOf('gateway'),
    processorCredentialsSecretRef: seedOf('processor'),
  };
  return { nats, stream: { maxBytes }, deadLetter: { maxBytes: '16Mi' }, instanceLeaseSeconds: 10 };
}

/** @param partitions undefined: unordered */
function processorSpec(path: string, url: string, partitions?: number): Fields {
  return {
    endpoints: [path],
    routing: everythingTo(url, { reply: true }),
    delivery: {
      backoffSeconds: [1],
      maxAttempts: 50,
      ...(partitions !== undefined && { ordering: 'PerConnection', partitions }),
    },
  };
}

function optionsOf({ server, seedFile }: GuardedNats, role: NatsRole, maxBytes?: string) {
  const group = parsed(groupDocument(groupSpec(server.url, maxBytes), { name: 'chat' }));
  return {
    ...natsOptionsOf(group, role, ({ name }) => readFile(seedFile(name as NatsRole), 'utf8')),
    clientName: role,
  };
}

async function startOperator(guarded: GuardedNats, maxBytes?: string): Promise<NatsGroup & AsyncDisposable> {
  const operator = createNatsGroup(optionsOf(guarded, 'operator', maxBytes));
  operator.start();
  await eventually(() => operator.status === 'up');
  return Object.assign(operator, { [Symbol.asyncDispose]: () => operator.stop() });
}

function consumersOf(name: string, path: string, partitions?: number) {
  return consumerOptionsOf(parsed(processorDocument(processorSpec(path, 'http://x/', partitions), { name })));
}

/** `hydrogen dlq` with a login of its own. */
async function dlq(guarded: GuardedNats, processor: ConfiguredProcess, ...args: string[]): Promise<string> {
  const login = ['--secrets', guarded.secretsDir, '--credentials', guarded.seedFile('commandLine')];
  await using command = startHydrogen(['dlq', ...args, '--config', processor.file, ...login]);
  assert.equal(await command.exited, 0, command.output());
  return command.output();
}

async function letters(guarded: GuardedNats, processor: ConfiguredProcess): Promise<string[]> {
  const lines = (await dlq(guarded, processor, 'list', '--json')).split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => String(JSON.parse(line).sequence));
}

async function post(url: string, body = ''): Promise<number> {
  const response = await fetch(url, { method: 'POST', body });
  await response.arrayBuffer();
  return response.status;
}

/** Everything that members and the command line do on the bus. */
async function live(guarded: GuardedNats, observe: (parking: string) => Promise<void>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  let isBroken = true;
  const destination = stack.use(
    await startDestination((request) => {
      const { message, connection_id: id } = request.json();
      if (message === 'id') return { body: String(id) };
      if (message === 'bad') return { status: 422 };
      return message === 'late' && isBroken ? { status: 503 } : { body: `re ${message}` };
    }),
  );
  const { server, secretsDir } = guarded;
  const member = (name: string, spec: Fields): MemberOptions => ({
    group: { natsUrl: server.url, name: 'chat', spec: groupSpec(server.url) },
    name,
    spec,
    env: { HYDROGEN_SECRETS_DIR: secretsDir },
  });
  const unordered = stack.use(await startMprocProcess(member('unordered', processorSpec('/chat', destination.url))));
  const ordered = stack.use(await startMprocProcess(member('ordered', processorSpec('/lane', destination.url, 4))));
  const endpoints = [{ path: '/chat' }, { path: '/lane' }];
  const first = stack.use(await startGatewayProcess(member('one', { endpoints })));
  const second = stack.use(await startGatewayProcess(member('two', { endpoints })));
  const clients: Client[] = [];
  for (const gateway of [first, second]) {
    for (const { path } of endpoints) clients.push(stack.use(await connect(gateway.url(path))));
  }
  const all = async (text: string): Promise<void> => {
    for (const client of clients) await eventually(() => client.texts.includes(text), slow);
  };

  // Single messages, entries, lanes, and replies.
  for (const client of clients) for (let i = 0; i < 300; i++) client.send(`m${i}`);
  for (const client of clients) await eventually(() => client.texts.length >= 300, slow);

  // Waiting rooms, and dead letters of both processors.
  for (const client of clients) for (const text of ['bad', 'late']) client.send(text);
  for (const one of [unordered, ordered])
    await eventually(async () => (await letters(guarded, one)).length === 2, slow);
  await observe('unordered');
  isBroken = false;
  await all('re late');
  const [letter = ''] = await letters(guarded, unordered);
  await dlq(guarded, unordered, 'show', letter);
  assert.match(await dlq(guarded, unordered, 'replay', letter), /^replayed 1$/m);
  await eventually(async () => (await letters(guarded, unordered)).some((one) => Number(one) > Number(letter)), slow);
  assert.match(await dlq(guarded, unordered, 'purge', '--all'), /^removed 2$/m);
  const [other = ''] = await letters(guarded, ordered);
  assert.match(await dlq(guarded, ordered, 'purge', other), /^removed 1$/m);

  // Pushes through both gateways, a broadcast, and disconnects.
  const ids: string[] = [];
  for (const client of clients) {
    client.send('id');
    ids.push(await eventually(() => client.texts.find((text) => /^[a-z0-9]+-/.test(text)) ?? false, slow));
  }
  for (const id of ids) {
    for (const { managementUrl } of [first, second]) {
      assert.equal(await post(`${managementUrl}/connections/${id}/_send`, 'push'), 200);
    }
  }
  assert.equal(await post(`${second.managementUrl}/connections/_broadcast`, 'all'), 202);
  await all('all');
  const [gone, stays, ...orphans] = ids.map((id) => `${first.managementUrl}/connections/${id}`);
  assert.equal(await post(`${gone}/_disconnect`), 204);

  // A gateway dies: after its lease, its connections are gone.
  second.kill('SIGKILL');
  await second.exited;
  for (const url of orphans) await eventually(async () => (await post(`${url}/_send`)) === 410, slow);
  assert.equal(await post(`${stays}/_send`), 200);

  // A replica with another number of lanes takes over, and another endpoint comes and goes.
  const lanes = stack.use(await startMprocProcess(member('ordered', processorSpec('/lane', destination.url, 8))));
  ordered.kill('SIGTERM');
  assert.equal(await ordered.exited, 0);
  const [, client] = clients;
  client?.send('after');
  await eventually(() => client?.texts.includes('re after') === true, slow);
  for (const one of [lanes, unordered, first]) {
    one.kill('SIGTERM');
    assert.equal(await one.exited, 0);
  }
}

test('every role works with the rights that the document gives it', { skip }, async () => {
  await using guarded = await startGuardedNats(true);
  {
    await using operator = await startOperator(guarded, '8Mi');
    assert.deepEqual(await operator.ensureStreams(), []);
  }
  await using operator = await startOperator(guarded);
  assert.deepEqual(await operator.ensureStreams(), []);
  for (const one of [consumersOf('unordered', '/chat'), consumersOf('ordered', '/lane', 4)]) {
    await operator.ensureConsumers(one, await operator.readConsumers());
  }
  await live(guarded, async (processor) => {
    await eventually(async () => (await operator.lags()).get(processor)?.waiting.size === 1, slow);
    assert.deepEqual(await operator.inspectStreams(), []);
  });
  assert.equal(await operator.accountRoom(), undefined);
  await operator.ensureConsumers(consumersOf('ordered', '/lane', 16));
  for (const processor of ['unordered', 'ordered']) assert.ok((await operator.deleteConsumers(processor)) > 0);
  await operator.deleteStreams();
  assert.deepEqual(guarded.refusals(), []);
});

test('members work with the further rights of a group without an operator', { skip }, async () => {
  await using guarded = await startGuardedNats(false);
  await live(guarded, async () => {});
  assert.deepEqual(guarded.refusals(), []);
});

/** What a role may not do, as calls of the JetStream API (without `$JS.API.`) or subjects. */
const forbidden: Readonly<Record<NatsRole, readonly string[]>> = {
  gateway: [
    'STREAM.PURGE.HYDROGEN_default_chat',
    'STREAM.DELETE.HYDROGEN_default_chat',
    'STREAM.UPDATE.HYDROGEN_default_chat',
    'STREAM.MSG.DELETE.HYDROGEN_default_chat',
    'STREAM.MSG.GET.HYDROGEN_default_chat_DLQ',
    'STREAM.LIST',
    'CONSUMER.CREATE.HYDROGEN_default_chat.mine',
    'CONSUMER.DELETE.HYDROGEN_default_chat.unordered',
    'CONSUMER.MSG.NEXT.HYDROGEN_default_chat.unordered',
    '$JS.ACK.HYDROGEN_default_chat.unordered.1.1.1.1.1',
    'hydrogen.default_chat.dlq.unordered',
    'hydrogen.default_chat.consumers',
    'hydrogen.default_other.broadcast',
  ],
  processor: [
    'STREAM.PURGE.HYDROGEN_default_chat',
    'STREAM.PURGE.HYDROGEN_default_chat_DLQ',
    'STREAM.DELETE.HYDROGEN_default_chat',
    'STREAM.UPDATE.HYDROGEN_default_chat',
    'STREAM.MSG.DELETE.HYDROGEN_default_chat',
    'STREAM.LIST',
    'hydrogen.default_chat.broadcast',
    'hydrogen.default_chat.c2s.1.=2Fchat.one-x',
    '$KV.hydrogen_default_chat_instances.one',
    '_INBOX.gateway.x',
    '_INBOX.operator.x',
  ],
  operator: [
    'STREAM.PURGE.HYDROGEN_default_chat',
    'STREAM.MSG.DELETE.HYDROGEN_default_chat',
    'STREAM.MSG.GET.HYDROGEN_default_chat_DLQ',
    'CONSUMER.MSG.NEXT.HYDROGEN_default_chat.unordered',
    'hydrogen.default_chat.c2s.1.=2Fchat.one-x',
    'hydrogen.default_chat.instance.one',
    'hydrogen.default_chat.broadcast',
  ],
  commandLine: [
    'STREAM.PURGE.HYDROGEN_default_chat',
    'STREAM.DELETE.HYDROGEN_default_chat_DLQ',
    'CONSUMER.MSG.NEXT.HYDROGEN_default_chat.unordered',
    'hydrogen.default_chat.instance.one',
    'hydrogen.default_chat.broadcast',
  ],
};

/** What a role may not hear. */
const unheard: Readonly<Record<NatsRole, readonly string[]>> = {
  gateway: ['_INBOX.>', '_INBOX.processor.>', 'hydrogen.default_chat.c2s.>', '>'],
  processor: ['_INBOX.gateway.>', 'hydrogen.default_chat.instance.*', 'hydrogen.default_chat.broadcast', '>'],
  operator: ['_INBOX.processor.>', 'hydrogen.default_chat.c2s.>', '$KV.>'],
  commandLine: ['_INBOX.operator.>', 'hydrogen.default_chat.c2s.>', 'hydrogen.default_chat.dlq.*'],
};

test('a server refuses what is not among the rights of a role', { skip }, async () => {
  await using guarded = await startGuardedNats(true);
  for (const role of Object.keys(forbidden) as NatsRole[]) {
    const client = await guarded.client(role);
    const calls = forbidden[role].map((call) => (/^[A-Z]/.test(call) ? `$JS.API.${call}` : call));
    for (const subject of calls) client.publish(subject, '{}', { reply: `_INBOX.${role}.x` });
    for (const subject of unheard[role]) client.subscribe(subject, { callback: () => {} });
    await client.flush();
    const refused = (kind: string, subject: string): boolean =>
      guarded.refusals().some((line) => line.includes(`${kind} Violation`) && line.includes(`"${subject}"`));
    for (const subject of calls) await eventually(() => refused('Publish', subject));
    for (const subject of unheard[role]) await eventually(() => refused('Subscription', subject));
    await client.close();
    await guarded.server.restart(); // clears its log
  }
});

test('a refused call says which right is missing', { skip }, async () => {
  await using guarded = await startGuardedNats(true);
  {
    await using operator = await startOperator(guarded);
    await operator.ensureStreams();
  }
  const bus = createNatsBus(optionsOf(guarded, 'gateway'));
  try {
    await bus.start();
    await eventually(() => bus.status === 'up');
    const message = /NATS does not let this login publish to \$JS\.API\.STREAM\.PURGE\.HYDROGEN_default_chat_DLQ/;
    await assert.rejects(bus.deadLetters.of('unordered').purge(), message);
  } finally {
    await bus.stop();
  }
});
