/** The doctor and services: real servers with each fault that it explains. The doctor and NATS are in doctor-nats.test.ts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Diagnosis } from '../../cli/doctor/diagnosis.ts';
import { doctor } from '../../cli/doctor/doctor.ts';
import { type Certificate, selfSigned } from '../kit/certificate.ts';
import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { startHydrogen } from '../kit/hydrogen.ts';
import { startShell } from '../kit/shell.ts';
import { stopProcess } from '../kit/stopped.ts';
import { startFakeApi } from '../operator/kit/api.ts';

const folder = await mkdtemp(join(tmpdir(), 'hydrogen-doctor-'));
after(() => rm(folder, { recursive: true }));

interface Answer {
  readonly code: unknown;
  readonly diagnoses: readonly Diagnosis[];
  /** Everything that was printed. */
  readonly text: string;
}

let files = 0;

/** Runs the doctor on these documents. */
async function examine(
  documents: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Answer> {
  const file = join(folder, `${files++}.yaml`);
  await writeFile(file, documents);
  // No cluster of whoever runs this.
  const nowhere = { HOME: folder, KUBECONFIG: '' };
  await using command = startHydrogen(['doctor', '-f', file, '-o', 'json', ...args], { ...nowhere, ...env });
  const code = await command.exited;
  const text = command.output();
  return { code, text, diagnoses: text.startsWith('{') ? JSON.parse(text).diagnoses : [] };
}

/** A gateway without clients' messages, whose authorizer is at `url`, and no NATS. */
function authorizedBy(url: string): string {
  return yaml(
    groupDocument(),
    gatewayDocument({ mode: 'ServerToClient', authorizer: { http: { url, timeoutSeconds: 1 } } }),
  );
}

async function diagnosisOf(url: string, env: Record<string, string> = {}): Promise<Diagnosis> {
  const { diagnoses, text } = await examine(authorizedBy(url), [], env);
  const found = diagnoses.find(({ subject }) => subject.startsWith('authorizer'));
  assert.ok(found, text);
  return found;
}

interface Listening extends AsyncDisposable {
  readonly port: number;
}

async function listening(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const noContent: RequestListener = (_, response) => response.writeHead(204).end();

async function startHttps({ certificate, key }: Certificate): Promise<Listening & { trust: Record<string, string> }> {
  const file = join(folder, `${files++}.pem`);
  await writeFile(file, certificate);
  const server = await listening(createHttpsServer({ cert: certificate, key }, noContent));
  return Object.assign(server, { trust: { NODE_EXTRA_CA_CERTS: file } });
}

test('a service is asked with OPTIONS and nothing else, and any answer counts as reached', async () => {
  const asked: (string | undefined)[] = [];
  await using server = await listening(
    createHttpServer((request, response) => {
      asked.push(`${request.method} ${request.url}`, request.headers.authorization);
      response.writeHead(405).end();
    }),
  );
  const url = `http://127.0.0.1:${server.port}/check?key=hidden`;
  const { health, message, subject } = await diagnosisOf(url);
  assert.deepEqual([health, message], ['ok', 'Reached: it answers 405 to OPTIONS.']);
  assert.deepEqual(asked, ['OPTIONS /check?key=hidden', undefined]);
  assert.equal(subject, `authorizer http://127.0.0.1:${server.port}/check`);
});

test('an answer of 500 is reached, with a warning', async () => {
  await using server = await listening(createHttpServer((_, response) => response.writeHead(500).end()));
  const { health, message } = await diagnosisOf(`http://127.0.0.1:${server.port}/`);
  assert.equal(health, 'warning');
  assert.match(message, /answers 500/);
});

test('a port that refuses, one that is silent, and one that speaks another protocol are distinguished', async () => {
  const refusing = await listening(createTcpServer());
  await refusing[Symbol.asyncDispose]();
  const refused = await diagnosisOf(`http://127.0.0.1:${refusing.port}/`);
  assert.match(refused.message, /Nothing accepts connections at 127\.0\.0\.1:\d+: connection refused/);

  await using silent = await listening(createTcpServer());
  const unanswered = await diagnosisOf(`http://127.0.0.1:${silent.port}/`);
  assert.match(unanswered.message, /accepts connections, but gives no HTTP answer to OPTIONS: no answer within 1 s/);

  await using plain = await listening(createHttpServer(noContent));
  const insecure = await diagnosisOf(`https://127.0.0.1:${plain.port}/`);
  assert.match(insecure.message, /accepts connections but not TLS/);
  assert.match(insecure.cure ?? '', /must begin with http:\/\//);
  for (const { health } of [refused, unanswered, insecure]) assert.equal(health, 'problem');
});

/** A port at which connections are neither accepted nor refused, as behind a firewall: its process stands still. */
async function startUnanswered(): Promise<Listening> {
  await using stack = new AsyncDisposableStack();
  const script =
    'const s = require("net").createServer().listen({ port: 0, backlog: 1 }, () => console.log(s.address().port))';
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  stack.defer(() => void child.kill('SIGKILL'));
  const [output] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(output);
  await stopProcess(child.pid ?? 0);
  // The system accepts as many as its queue holds, and then answers no more.
  for (let isFull = false; !isFull; ) {
    const socket = connectTcp(port, '127.0.0.1').on('error', () => undefined);
    stack.defer(() => void socket.destroy());
    isFull = await Promise.race([once(socket, 'connect').then(() => false), sleep(500, true)]);
  }
  const parts = stack.move();
  return { port, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('what is never answered, as behind a firewall, is a problem that names network policies', async () => {
  await using unanswered = await startUnanswered();
  for (const scheme of ['http', 'https']) {
    const { health, message, cure } = await diagnosisOf(`${scheme}://127.0.0.1:${unanswered.port}/`);
    assert.equal(health, 'problem');
    assert.match(message, /^Nothing accepts connections at 127\.0\.0\.1:\d+: no connection to \S+ within 1000 ms/);
    assert.match(cure ?? '', /network policy or a firewall/);
  }
});

test('a certificate that has expired, is for another name or is not trusted is a problem that names it', async () => {
  await using expired = await startHttps(selfSigned('auth', 'test', { hosts: ['127.0.0.1'], validDays: -2 }));
  const old = await diagnosisOf(`https://127.0.0.1:${expired.port}/`, expired.trust);
  assert.match(old.message, /^The certificate of 127\.0\.0\.1:\d+ expired on \d{4}-\d\d-\d\d\.$/);

  await using foreign = await startHttps(selfSigned('auth', 'test', { hosts: ['auth.example.com'] }));
  const other = await diagnosisOf(`https://127.0.0.1:${foreign.port}/`, foreign.trust);
  assert.match(other.message, /is for another name: DNS:auth\.example\.com\.$/);

  await using unknown = await startHttps(selfSigned('auth', 'test', { hosts: ['127.0.0.1'] }));
  const untrusted = await diagnosisOf(`https://127.0.0.1:${unknown.port}/`);
  assert.match(untrusted.message, /for IP Address:127\.0\.0\.1, issued by auth, is not trusted/);
  assert.match(untrusted.cure ?? '', /NODE_EXTRA_CA_CERTS/);
  for (const { health } of [old, other, untrusted]) assert.equal(health, 'problem');
});

test('a valid certificate is shown with its names and expiry, and one that expires soon is a warning', async () => {
  await using good = await startHttps(selfSigned('auth', 'test', { hosts: ['127.0.0.1'], validDays: 100 }));
  const fine = await diagnosisOf(`https://127.0.0.1:${good.port}/`, good.trust);
  assert.deepEqual(
    [fine.health, fine.message.replace(/\d{4}-\d\d-\d\d/, 'DAY')],
    ['ok', 'Reached: it answers 204 to OPTIONS, its certificate for IP Address:127.0.0.1 is valid until DAY.'],
  );
  await using ending = await startHttps(selfSigned('auth', 'test', { hosts: ['127.0.0.1'], validDays: 3 }));
  const soon = await diagnosisOf(`https://127.0.0.1:${ending.port}/`, ending.trust);
  assert.equal(soon.health, 'warning');
  assert.match(soon.message, /expires on/);
});

test('a name that does not resolve is a problem; from outside of a cluster, one of a service is not checked', async () => {
  const nowhere = await diagnosisOf('http://nowhere.invalid/');
  assert.equal(nowhere.health, 'problem');
  assert.match(nowhere.message, /^The name nowhere\.invalid does not resolve: /);

  const outside = { KUBERNETES_SERVICE_HOST: '' };
  for (const host of ['auth-of-nobody', 'auth-of-nobody.shop', 'auth.shop.svc', 'auth.shop.svc.cluster.local']) {
    const inside = await diagnosisOf(`http://${host}:8080/`, {});
    assert.equal(inside.health, 'unchecked', host);
    assert.match(inside.cure ?? '', /kubectl -n default exec deploy\/chat-gateway -- node cli\/hydrogen\.js doctor/);
  }
  assert.equal(
    (await diagnosisOf('http://auth.shop.svc:8080/', { ...outside, KUBERNETES_SERVICE_HOST: '10.0.0.1' })).health,
    'problem',
  );
});

test('the exit code is 0 when all is well, 1 for problems, 2 when something could not be examined', async () => {
  const documents = (url: string): string => yaml(groupDocument(), processorDocument({ routing: everythingTo(url) }));
  // Nobody listens at the group's NATS, which is a problem.
  assert.equal((await examine(documents('http://127.0.0.1:1/'))).code, 1);
  const unseen = yaml(groupDocument({ nats: { servers: ['nats://nats.messaging:4222'] } }));
  assert.equal((await examine(unseen)).code, 2);
  assert.equal((await examine('kind: HydrogenGroup')).code, 2);
});

test('endpoints without a processor are a problem, those of a processor without a gateway a warning', async () => {
  const gateway = gatewayDocument({ endpoints: [{ path: '/chat' }, { path: '/news' }] });
  const { diagnoses } = await examine(
    yaml(groupDocument(), gateway, processorDocument({ endpoints: ['/chat', '/old'] })),
  );
  const found = diagnoses.filter(({ subject }) => subject === 'endpoints');
  assert.deepEqual(
    found.map(({ health, message }) => [health, message]),
    [
      ['problem', 'No processor of group chat takes messages of /news, so clients get 503 there.'],
      ['warning', 'No gateway of group chat takes messages at /old.'],
    ],
  );
});

/** A gateway whose authorizer gets a header from key `token` of secret `auth`. */
function withSecret(): string {
  const headers = [{ name: 'x-key', valueFrom: { secretKeyRef: { name: 'auth', key: 'token' } } }];
  const authorizer = { http: { url: 'http://127.0.0.1:1/', headers } };
  return yaml(groupDocument(), gatewayDocument({ mode: 'ServerToClient', authorizer }));
}

function secretIn({ diagnoses }: Answer): Diagnosis | undefined {
  return diagnoses.find(({ subject }) => subject === 'secret auth, key token');
}

test('secrets are looked for in the files, in a folder, or in the cluster, and are never shown', async () => {
  const unseen = secretIn(await examine(withSecret()));
  assert.deepEqual([unseen?.health, /there is no cluster to ask/.test(unseen?.message ?? '')], ['unchecked', true]);

  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'auth' }, stringData: { token: 'open sesame' } };
  const inFile = await examine(`${withSecret()}\n---\n${JSON.stringify(secret)}`);
  assert.equal(secretIn(inFile)?.health, 'ok');
  assert.ok(!inFile.text.includes('sesame'));

  const secrets = join(folder, 'secrets');
  assert.match(secretIn(await examine(withSecret(), ['--secrets', secrets]))?.message ?? '', /^It is missing/);
  await mkdir(join(secrets, 'auth'), { recursive: true });
  await writeFile(join(secrets, 'auth/token'), 'open sesame\n');
  assert.equal(secretIn(await examine(withSecret(), ['--secrets', secrets]))?.health, 'ok');
  await writeFile(join(secrets, 'auth/token'), '1 €');
  assert.match(
    secretIn(await examine(withSecret(), ['--secrets', secrets]))?.message ?? '',
    /No header can carry its value/,
  );

  await using api = await startFakeApi();
  const cluster = ['--kubeconfig', api.kubeconfig];
  const missing = secretIn(await examine(withSecret(), cluster));
  assert.deepEqual(
    [missing?.health, missing?.message],
    ['problem', 'It is missing: namespace default has no secret auth.'],
  );
  assert.match(missing?.cure ?? '', /kubectl -n default create secret generic auth --from-file=token=FILE/);
  const data = { token: Buffer.from('open sesame').toString('base64') };
  api.put('secrets', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'auth', namespace: 'default' }, data });
  assert.equal(secretIn(await examine(withSecret(), cluster))?.health, 'ok');
});

test('without a file, in a pod, it examines what the pod runs from, with the secrets that it has', async (context) => {
  const secrets = await mkdtemp(join(folder, 'mounted-'));
  const file = join(secrets, 'hydrogen.yaml');
  await writeFile(file, withSecret());
  context.after(() => {
    delete process.env.HYDROGEN_SECRETS_DIR;
  });
  process.env.HYDROGEN_SECRETS_DIR = secrets;
  const inPod = async (): Promise<Answer> => {
    const { text, exitCode } = await doctor({ output: 'json' }, file);
    return { text, code: exitCode, diagnoses: JSON.parse(text).diagnoses };
  };
  const without = await inPod();
  assert.match(without.text, /"source": "the documents of this pod"/);
  assert.match(secretIn(without)?.message ?? '', /^It is missing/);
  await mkdir(join(secrets, 'auth'));
  await writeFile(join(secrets, 'auth/token'), 'open sesame');
  const found = await inPod();
  assert.equal(secretIn(found)?.health, 'ok');
  assert.ok(!found.text.includes('sesame'));
  // The other members are not at hand.
  assert.equal(
    found.diagnoses.find(({ subject }) => subject.startsWith('endpoint')),
    undefined,
  );
});

test('without a file it examines a namespace of the cluster, and names what it cannot read', async () => {
  await using api = await startFakeApi();
  const inShop = (one: { metadata: object }): object => ({ ...one, metadata: { ...one.metadata, namespace: 'shop' } });
  api.put('hydrogengroups', inShop(groupDocument({ nats: { servers: ['nats://127.0.0.1:1'] } })) as never);
  api.put('hydrogengateways', inShop(gatewayDocument({ endpoints: [{ path: 'no slash' }] })) as never);
  api.put('hydrogenmessageprocessors', inShop(processorDocument({}, { group: 'gone' })) as never);
  const args = ['doctor', '--kubeconfig', api.kubeconfig, '-n', 'shop'];
  await using command = startHydrogen(args);
  assert.equal(await command.exited, 1);
  const text = command.output();
  assert.match(text, /^namespace shop of the cluster at /);
  assert.match(text, /HydrogenGateway\/chat\n {2}PROBLEM {6}specification: It is invalid: spec\.endpoints\[0\]\.path /);
  assert.match(
    text,
    /HydrogenMessageProcessor\/chat\n {2}PROBLEM {6}group: There is no HydrogenGroup gone in namespace shop/,
  );
  assert.match(text, /NATS nats:\/\/127\.0\.0\.1:1: Nothing accepts connections there/);
});

test('documents can come from standard input, and a person reads what to do', async () => {
  const file = join(folder, 'stdin.yaml');
  await writeFile(file, authorizedBy('http://auth:8080/'));
  const line = `${process.execPath} cli/hydrogen.js doctor -f - < ${file}`;
  await using shell = startShell(line, undefined, { HOME: folder, KUBECONFIG: '' });
  assert.equal(await shell.exited, 1);
  const text = shell.output();
  assert.match(text, /^stdin\n\nHydrogenGroup\/chat\n {2}PROBLEM {6}NATS nats:\/\/127\.0\.0\.1:4222: Nothing accepts/);
  assert.match(text, /\n {15}To do: look from a pod that uses it: /);
  assert.match(text, /Before there are pods: kubectl -n NAMESPACE run /);
  assert.match(text, /1 problem, 0 warnings, 1 not checked, 0 ok\n$/);
});

test('on a terminal a line says what is being examined, and goes away', async () => {
  await using silent = await listening(createTcpServer());
  const file = join(folder, 'terminal.yaml');
  await writeFile(file, authorizedBy(`http://127.0.0.1:${silent.port}/`));
  const line = `${process.execPath} cli/hydrogen.js doctor -f ${file} > ${folder}/result`;
  await using shell = startShell(`script -qec '${line}' /dev/null`, undefined, {
    HOME: folder,
    KUBECONFIG: '',
    TERM: 'xterm',
  });
  await shell.exited;
  const cleared = '\u001b[2K\u001b[1G';
  assert.ok(shell.output().includes(`${cleared}examining authorizer http://127.0.0.1:${silent.port}/${cleared}`));
  assert.ok(shell.output().endsWith(cleared));
});
