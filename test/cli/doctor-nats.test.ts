/** The doctor and NATS: real servers with each fault that it explains, and proof that it changes nothing. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { connect } from 'nats';

import type { Diagnosis } from '../../cli/doctor/diagnosis.ts';
import { doctor } from '../../cli/doctor/doctor.ts';
import { type CertificateOptions, selfSigned } from '../kit/certificate.ts';
import { connect as connectWebSocket } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { root, startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats, type TestNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const folder = await mkdtemp(join(tmpdir(), 'hydrogen-doctor-nats-'));
after(() => rm(folder, { recursive: true }));

let files = 0;

/** What the doctor says about NATS, and the exit code. */
async function examine(
  nats: object,
  spec: object = {},
  processor: object = {},
): Promise<[readonly Diagnosis[], number]> {
  const file = join(folder, `${files++}.yaml`);
  const gateway = gatewayDocument();
  await writeFile(file, yaml(groupDocument({ nats, ...spec }), gateway, processorDocument({ ...processor })));
  const secrets = join(folder, 'secrets');
  const { text, exitCode } = await doctor({ file: [file], secrets, output: 'json' });
  const { diagnoses } = JSON.parse(text) as { diagnoses: Diagnosis[] };
  return [diagnoses.filter(({ subject }) => subject.startsWith('NATS')), exitCode];
}

const at = (nats: TestNats): object => ({ servers: [nats.url] });

/** A server with one account that has this JetStream, and one user, who need not log in. */
function accountOf(jetStream: string, permissions = ''): string {
  const user = `{user: app, password: secret${permissions === '' ? '' : `, permissions: ${permissions}`}}`;
  return `accounts { A { ${jetStream}, users: [${user}] } }\nno_auth_user: app`;
}

function messagesOf(diagnoses: readonly Diagnosis[]): string[] {
  return diagnoses.map(({ health, message }) => `${health}: ${message}`);
}

test('a server that has all is well, and nothing is changed in it', { skip }, async () => {
  await using nats = await startNats();
  const [before] = await examine({ servers: [nats.url] });
  assert.match(messagesOf(before).join('\n'), /^ok: Reached: NATS \d+\.\d+\.\d+\.$/);
  await using connection = Object.assign(await connect({ servers: nats.url }), {
    [Symbol.asyncDispose]: (): Promise<void> => connection.close(),
  });
  const manager = await connection.jetstreamManager();
  assert.deepEqual((await manager.streams.names().next()).length, 0);

  // The streams of the group, with subjects that would store whatever is published to them.
  const kept = { storage: 'file', max_bytes: 1 << 20 } as const;
  await manager.streams.add({
    name: 'HYDROGEN_default_chat',
    subjects: ['hydrogen.default_chat.c2s.>'],
    ...kept,
  } as never);
  await manager.streams.add({
    name: 'HYDROGEN_default_chat_DLQ',
    subjects: ['hydrogen.default_chat.dlq.*'],
    ...kept,
  } as never);
  await manager.streams.add({
    name: 'HYDROGEN_default_chat_WAIT',
    subjects: ['hydrogen.default_chat.wait.>'],
    ...kept,
  } as never);
  await manager.streams.add({
    name: 'KV_hydrogen_default_chat_instances',
    subjects: ['$KV.hydrogen_default_chat_instances.>'],
    ...kept,
  } as never);
  const heard: string[] = [];
  connection.subscribe('hydrogen.default_chat.>', { callback: (_, { subject }) => void heard.push(subject) });
  await connection.flush();
  const [found] = await examine({ servers: [nats.url] });
  const streams = await manager.streams.list().next();
  assert.deepEqual(
    streams.map(({ state }) => [state.messages, state.last_seq, state.consumer_count]),
    Array(4).fill([0, 0, 0]),
  );
  assert.deepEqual(
    heard.filter((subject) => /broadcast|consumers/.test(subject)),
    [],
  );
  assert.ok(messagesOf(found).some((one) => /^warning: The stream HYDROGEN_default_chat has retention/.test(one)));
});

test('a server that is not there, does not let in, or has no JetStream is a problem', { skip }, async () => {
  assert.match(
    messagesOf((await examine({ servers: ['nats://127.0.0.1:1'] }))[0]).join(),
    /^problem: Nothing accepts connections/,
  );

  await using plain = await startNats({ hasJetStream: false });
  assert.match(
    messagesOf((await examine({ servers: [plain.url] }))[0]).join('\n'),
    /\nproblem: JetStream does not answer: nobody answers\./,
  );

  await using guarded = await startNats({ config: 'authorization { token: right }' });
  await mkdir(join(folder, 'secrets/login'), { recursive: true });
  await writeFile(join(folder, 'secrets/login/token'), 'wrong');
  const login = { tokenSecretRef: { name: 'login', key: 'token' } };
  const [refused] = await examine({ ...at(guarded), ...login });
  assert.deepEqual(messagesOf(refused), ['problem: The server refuses the login.']);
  assert.ok(!JSON.stringify(refused).includes('wrong'));
  await writeFile(join(folder, 'secrets/login/token'), 'right\n');
  assert.match(messagesOf((await examine({ ...at(guarded), ...login }))[0]).join(), /^ok: Reached/);
  await using nats = await startNats({ config: accountOf('jetstream: disabled') });
  const [off] = await examine(at(nats));
  assert.match(messagesOf(off).join('\n'), /\nproblem: JetStream does not answer: .*not enabled for account/i);
});

test('of several servers each is tried', { skip }, async () => {
  await using nats = await startNats();
  const [found, exitCode] = await examine({ servers: ['nats://127.0.0.1:1', nats.url, 'nats://nowhere.invalid:4222'] });
  assert.deepEqual(
    found.map(({ health }) => health),
    ['problem', 'ok', 'problem'],
  );
  assert.match(found[2]?.message ?? '', /The name nowhere\.invalid does not resolve/);
  assert.equal(exitCode, 1);
});

test('an account that is too small is compared with what the group needs', { skip }, async () => {
  await using nats = await startNats({
    config: accountOf('jetstream: {max_file: 100M, max_mem: 0, max_streams: 2, max_consumers: 3}'),
  });
  const ordered = { delivery: { ordering: 'PerConnection', partitions: 8 } };
  const [found] = await examine(at(nats), { stream: { maxBytes: '1Gi' }, deadLetter: { maxBytes: '256Mi' } }, ordered);
  const text = messagesOf(found).join('\n');
  assert.match(
    text,
    /problem: The group needs 5 more streams \(HYDROGEN_default_chat, .*_owners\), and the account has room for 2 of its 2\./,
  );
  assert.match(text, /problem: The streams of the group reserve 1792 MiB in files, and the account has 9\d MiB left\./);
  assert.match(text, /problem: The processors need 9 more consumers, and the account has room for 3 of its 3\./);
});

test('replicas need a cluster, and large messages a server that takes them', { skip }, async () => {
  await using nats = await startNats({ config: 'max_payload: 64KB' });
  const [found] = await examine({ servers: [nats.url] }, { stream: { replicas: 3 } });
  const text = messagesOf(found).join('\n');
  assert.match(text, /problem: spec\.stream\.replicas is 3, and the server is not part of a cluster\./);
  assert.match(
    text,
    /warning: The largest message that a gateway takes needs \d+ bytes with its context, and the server takes 65536/,
  );
});

test('permissions that are missing are named as they are written in a permission', { skip }, async () => {
  const deny =
    '{publish: {deny: ["hydrogen.*.dlq.>", "$JS.API.STREAM.CREATE.*", "$JS.API.INFO"]}, subscribe: {deny: ["hydrogen.*.broadcast"]}}';
  await using nats = await startNats({ config: accountOf('jetstream: enabled', deny) });
  const text = messagesOf((await examine(at(nats)))[0]).join('\n');
  assert.match(text, /problem: This user lacks permissions: .*publish to hydrogen\.default_chat\.dlq\.\*/);
  assert.match(text, /publish to \$JS\.API\.STREAM\.CREATE\.HYDROGEN_default_chat,/);
  assert.match(text, /subscribe to hydrogen\.default_chat\.broadcast/);
  assert.match(text, /warning: This user may not ask for the limits/);
  assert.doesNotMatch(text, /c2s|JetStream does not answer/);
});

test('the permissions in the docs are all that a group needs', { skip }, async () => {
  const page = await readFile(join(root, 'docs/operations.md'), 'utf8');
  const [, permissions = ''] = /```\n(permissions: [\s\S]*?)```/.exec(page) ?? [];
  assert.match(permissions, /shop_chat/);
  await using nats = await startNats({
    config: accountOf(
      'jetstream: enabled',
      permissions.replace('permissions: ', '').replaceAll('shop_chat', 'default_chat'),
    ),
  });
  const delivery = { ordering: 'PerConnection', partitions: 2 };
  const [found] = await examine(at(nats), {}, { delivery });
  assert.match(messagesOf(found).join('\n'), /^ok: Reached: NATS \d+\.\d+\.\d+\.$/);

  await using destination = await startDestination(() => ({ body: 'yes' }));
  const group = { natsUrl: nats.url, name: 'chat' };
  for (const ordering of ['Unordered', 'PerConnection']) {
    const spec = { routing: everythingTo(destination.url, { reply: true }), delivery: { ...delivery, ordering } };
    await using processor = await startMprocProcess({ group, spec, isLazy: true });
    await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
    await using client = await connectWebSocket(gateway.url('/chat'));
    client.send('may I?');
    assert.equal(await client.nextText(20_000), 'yes');
    for (const { output } of [processor, gateway]) assert.doesNotMatch(output(), /violation/i);
  }
});

async function startSecured(options: CertificateOptions): Promise<TestNats> {
  const { certificate, key } = selfSigned('nats', 'test', options);
  const id = files++;
  const [certFile, keyFile] = [join(folder, `${id}.pem`), join(folder, `${id}.key`)];
  await writeFile(certFile, certificate);
  await writeFile(keyFile, key);
  await mkdir(join(folder, 'secrets/nats'), { recursive: true });
  await writeFile(join(folder, 'secrets/nats/ca.crt'), certificate);
  return startNats({ config: `tls { cert_file: "${certFile}", key_file: "${keyFile}" }` });
}

const overTls = ({ port }: TestNats, isTrusted: boolean): object => ({
  servers: [`tls://localhost:${port}`],
  ...(isTrusted && { tls: { caSecretRef: { name: 'nats', key: 'ca.crt' } } }),
});

test('a certificate of NATS that has expired, is for another name or is not trusted is explained', {
  skip,
}, async () => {
  await using good = await startSecured({ hosts: ['localhost'] });
  assert.match(messagesOf((await examine(overTls(good, true)))[0]).join('\n'), /^ok: Reached/);
  assert.match(
    messagesOf((await examine(overTls(good, false)))[0]).join('\n'),
    /^problem: The server's certificate is not trusted/,
  );
  await using expired = await startSecured({ hosts: ['localhost'], validDays: -2 });
  assert.match(
    messagesOf((await examine(overTls(expired, true)))[0]).join('\n'),
    /^problem: The server's certificate has expired/,
  );
  await using foreign = await startSecured({ hosts: ['nats.example.com'] });
  assert.match(
    messagesOf((await examine(overTls(foreign, true)))[0]).join('\n'),
    /^problem: The server's certificate is for another name: .*nats\.example\.com/,
  );
});

test('NATS is not tried without the secret that it logs in with', { skip }, async () => {
  const [found] = await examine({ servers: ['nats://127.0.0.1:1'], tokenSecretRef: { name: 'absent', key: 'token' } });
  assert.match(
    messagesOf(found).join('\n'),
    /^unchecked: It is not tried, since what it logs in with is not known here: .*absent/,
  );
});
