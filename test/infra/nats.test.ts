import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { connect } from 'nats';

import { type HydrogenGroup, natsConnectionOf, parseDocuments, parseQuantity } from '../../crds/index.ts';
import { natsEnv } from '../../infra/nats-config.ts';
import { createNatsGroup } from '../../runtime/bus/nats/group.ts';
import { eventually } from '../kit/eventually.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';
import { findNatsServer } from '../kit/nats-binary.ts';
import { freePorts } from '../kit/ports.ts';
import { natsGroup } from '../runtime/bus/nats/kit.ts';
import { at, documents, find, nameOf, renderYaml } from './kit.ts';

const skip = await natsOrSkip();

/** Begins like a number, and contains characters that the configuration language would misread. */
const token = '12e4 "#$x\\';

function configOf(group: string): string {
  return String(at(find(renderYaml(documents({ group })), 'ConfigMap', 'chat-nats'), 'data["nats.conf"]'));
}

const withToken = 'nats: {managed: {replicas: 1}, tokenSecretRef: {name: nats, key: token}}';

/** The script of a group's servers, which waits for seconds here, and a token, next to a configuration. */
function writeToken(config: string, value: string): { start: string; token: string; target: string } {
  const paths = { start: `${config}.sh`, token: `${config}.token`, target: `${config}.all` };
  const objects = renderYaml(documents({ group: withToken }));
  const script = String(at(find(objects, 'ConfigMap', 'chat-nats'), 'data["start.sh"]'));
  writeFileSync(paths.start, script.replace(/^delay=90$/m, 'delay=2').replace(/^poll=5$/m, 'poll=1'));
  writeFileSync(paths.token, value);
  return paths;
}

function inFile(config: string): { readonly path: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-nats-config-'));
  const path = join(folder, 'nats.conf');
  writeFileSync(path, config.replace('/var/run/nats', folder));
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test('a real server accepts the configuration of one and of five servers', { skip }, async () => {
  for (const managed of ['{replicas: 1}', '{replicas: 5, sync: Always}']) {
    const group = `nats: {managed: ${managed}, tokenSecretRef: {name: nats, key: token}}`;
    using file = inFile(configOf(group));
    const env = { ...process.env, [natsEnv.pod]: 'chat-nats-0' };
    execFileSync(await findNatsServer(), ['-t', '-c', file.path], { env, stdio: 'pipe' });
  }
});

test('a server syncs every message with sync Always, and leaves the interval to NATS otherwise', { skip }, async () => {
  process.env[natsEnv.pod] = 'chat-nats-0';
  try {
    for (const [sync, isAlways] of [
      ['', undefined],
      [', sync: Interval', undefined],
      [', sync: Always', true],
    ] as const) {
      const config = configOf(`nats: {managed: {replicas: 1${sync}}}`);
      using file = inFile(config.replace(/ *store_dir.*\n/, '')); // the test server has its own
      const [monitor = 0] = await freePorts(1);
      await using _nats = await startNats({ args: ['-c', file.path, '-m', String(monitor)] });
      const answer = await fetch(`http://127.0.0.1:${monitor}/jsz`);
      const jetstream = (await answer.json()) as { config?: { sync_always?: boolean; sync_interval?: number } };
      assert.equal(jetstream.config?.sync_always, isAlways);
      assert.equal(jetstream.config?.sync_interval, 120e9);
    }
  } finally {
    delete process.env[natsEnv.pod];
  }
});

test('a change of sync restarts the servers, and its default does not', () => {
  const digestOf = (managed: string): unknown => {
    const objects = renderYaml(documents({ group: `nats: {managed: ${managed}}` }));
    return at(
      find(objects, 'StatefulSet', 'chat-nats'),
      'spec.template.metadata.annotations["hydrogen.dev/restart-digest"]',
    );
  };
  assert.ok(digestOf('{}'));
  assert.equal(digestOf('{sync: Interval}'), digestOf('{}'));
  assert.notEqual(digestOf('{sync: Always}'), digestOf('{}'));
});

test('a server admits only clients with the token of the group, whatever its characters', {
  skip,
}, async () => {
  const config = configOf(withToken);
  using file = inFile(config.replace(/ *store_dir.*\n/, '')); // the test server has its own
  const paths = writeToken(file.path, token);
  // In the place of a server, which has another store here, a command that does nothing.
  execFileSync('sh', [paths.start, paths.token, file.path, paths.target, 'true']);
  process.env[natsEnv.pod] = 'chat-nats-0';
  try {
    await using nats = await startNats({ args: ['-c', paths.target, '-m', '-1'] });
    await assert.rejects(connect({ servers: nats.url, token: 'other', reconnect: false }), /Authorization Violation/);
    const connection = await connect({ servers: nats.url, token, reconnect: false });
    assert.equal(connection.info?.max_payload, 8 * 1024 * 1024);
    assert.equal(connection.info?.server_name, 'chat-nats-0');
    assert.ok((await (await connection.jetstreamManager()).getAccountInfo()).limits);
    await connection.close();
  } finally {
    delete process.env[natsEnv.pod];
  }
});

test('a server takes over a changed token while it runs, once others have had time to see it', { skip }, async () => {
  const [port = 0] = await freePorts(1);
  using file = inFile(`port: ${port}\nhost: 127.0.0.1\n`);
  const paths = writeToken(file.path, 'old');
  const path = `${dirname(await findNatsServer())}:${process.env.PATH}`;
  const args = [paths.start, paths.token, file.path, paths.target, 'nats-server'];
  const server = spawn('sh', args, { env: { ...process.env, PATH: path }, stdio: 'ignore' });
  try {
    const servers = `127.0.0.1:${port}`;
    const old = await eventually(() => connect({ servers, token: 'old', reconnect: false }));
    writeFileSync(paths.token, 'new');
    const closed = old.closed().then((cause) => cause?.message);
    await assert.rejects(connect({ servers, token: 'new', reconnect: false }), /Authorization Violation/);
    const next = await eventually(() => connect({ servers, token: 'new', reconnect: false }), { timeoutMs: 30_000 });
    assert.equal(await closed, "'Authorization Violation'");
    await next.close();
  } finally {
    server.kill('SIGTERM');
    const [code] = await once(server, 'exit');
    assert.notEqual(code, null, 'the server and not a shell gets the signal');
  }
});

test('streams as large as the volume leave room for the leases of gateways', { skip }, async () => {
  const [group] = parseDocuments(
    documents({ group: 'nats: {managed: {replicas: 1, storage: {size: 3Gi}}}' }),
    'test',
  ) as [HydrogenGroup];
  using file = inFile(configOf('nats: {managed: {replicas: 1, storage: {size: 3Gi}}}').replace(/ *store_dir.*\n/, ''));
  process.env[natsEnv.pod] = 'chat-nats-0';
  await using nats = await startNats({ args: ['-c', file.path, '-m', '-1'] });
  delete process.env[natsEnv.pod];
  const { stream, deadLetter } = group.spec;
  const kit = natsGroup(nats, {
    stream: { storage: 'File', replicas: 1, maxAgeMs: 60_000, maxBytes: parseQuantity(stream.maxBytes) },
    deadLetter: { maxAgeMs: 60_000, maxBytes: parseQuantity(deadLetter.maxBytes) },
  });
  await using _ = kit;
  const streams = createNatsGroup(kit.options);
  await streams.start();
  await eventually(() => streams.status === 'up');
  assert.deepEqual(await streams.ensureStreams(), []);
  await streams.stop();
  const bus = await kit.started();
  const lease = bus.leases.hold('gateway', () => undefined);
  await eventually(() => lease.isHeld);
});

test('three servers form a cluster and store three copies of a message', { skip }, async () => {
  const config = configOf('nats: {managed: {replicas: 3}}');
  const ports = await freePorts(9);
  const [client = [], cluster = [], monitor = []] = [0, 3, 6].map((first) => ports.slice(first, first + 3));
  await using stack = new AsyncDisposableStack();
  for (const index of [0, 1, 2]) {
    const local = config
      .replace('$POD_NAME', `server-${index}`)
      .replace('port: 4222', `port: ${client[index]}`)
      .replace('port: 6222', `port: ${cluster[index]}`)
      .replace('http_port: 8222', `http_port: ${monitor[index]}`)
      .replaceAll(/[\w.-]*-nats-(\d)\.[\w.-]*:6222/g, (_, peer: string) => `127.0.0.1:${cluster[Number(peer)]}`);
    const folder = mkdtempSync(join(tmpdir(), 'hydrogen-nats-cluster-'));
    stack.defer(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'nats.conf');
    writeFileSync(file, local.replace('/var/run/nats', folder).replace('"/data"', `"${folder}"`));
    const server = spawn(await findNatsServer(), ['-c', file], { stdio: 'ignore' });
    stack.defer(async () => {
      server.kill('SIGKILL');
      await once(server, 'exit');
    });
  }
  const isHealthy = (port: number): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await eventually(async () => (await Promise.all(monitor.map(isHealthy))).every(Boolean), { timeoutMs: 30_000 });
  const connection = await connect({ servers: `nats://127.0.0.1:${client[0]}` });
  stack.defer(() => connection.close());
  const streams = (await connection.jetstreamManager()).streams;
  const stream = await eventually(() => streams.add({ name: 'test', subjects: ['test'], num_replicas: 3 }));
  assert.equal(stream.cluster?.replicas?.length, 2, 'besides the leader');
});

test('members connect to the servers where the manifests put them', () => {
  const yaml = documents({ group: 'nats: {managed: {}}' });
  const [group] = parseDocuments(yaml, 'test') as [HydrogenGroup];
  const service = find(renderYaml(yaml), 'Service', 'chat-nats');
  const port = at(service, 'spec.ports[0].port');
  const url = `nats://${nameOf(service)}.${at(service, 'metadata.namespace')}.svc:${port}`;
  assert.deepEqual(natsConnectionOf(group, 'gateway'), { servers: [url] });
});

test('only members of the group, and the operator, may reach the servers', () => {
  const [clients] = at(
    find(renderYaml(documents({ group: 'nats: {managed: {}}', gateway: 'replicas: 1' })), 'NetworkPolicy', 'chat-nats'),
    'spec.ingress',
  ) as [object];
  assert.deepEqual(at(clients, 'from[0]'), { podSelector: { matchLabels: { 'hydrogen.dev/group-name': 'chat' } } });
  assert.equal((at(clients, 'from') as object[]).length, 2);
});

test('pods mount the login of their own role alone, or that of the group', () => {
  const own = {
    credentialsSecretRef: { name: 'operator', key: 'seed' },
    gatewayCredentialsSecretRef: { name: 'gateway', key: 'seed' },
    processorCredentialsSecretRef: { name: 'processor', key: 'seed' },
  };
  const mounted = (nats: object, kind: string): unknown => {
    const rendered = renderYaml(
      documents({
        group: `nats: ${JSON.stringify({ servers: ['nats://nats'], ...nats })}`,
        gateway: '{}',
        processor: '{}',
      }),
    );
    const volumes = at(find(rendered, 'Deployment', kind), 'spec.template.spec.volumes') as Record<string, unknown>[];
    const sources = volumes.flatMap(
      (volume) => (volume.projected as { sources?: { secret: { name: string } }[] })?.sources ?? [],
    );
    return sources.map(({ secret }) => secret.name);
  };
  assert.deepEqual(mounted(own, 'chat-gateway'), ['gateway']);
  assert.deepEqual(mounted(own, 'chat-mproc'), ['processor']);
  const { credentialsSecretRef, gatewayCredentialsSecretRef } = own;
  assert.deepEqual(mounted({ credentialsSecretRef, gatewayCredentialsSecretRef }, 'chat-mproc'), ['operator']);
});
