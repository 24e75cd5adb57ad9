/** The kubelet of the tests on a real control plane, as the tests of the operator rely on it. */

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { type ControlPlane, clusterOrSkip, startControlPlane } from '../control-plane.ts';
import { eventually } from '../eventually.ts';
import type { Image } from './images.ts';
import { startKubelet, type TestKubelet } from './kubelet.ts';
import { localAddress } from './network.ts';

const skip = await clusterOrSkip();

/** Serves its mounts and variables; exits on a request, and never on SIGTERM. */
const program = `
  const { readFileSync } = require('node:fs');
  const read = () => { try { return readFileSync(process.argv[1], 'utf8'); } catch { return ''; } };
  require('node:http').createServer((request, response) => {
    if (request.url === '/exit') process.exit(3);
    response.end(JSON.stringify({ text: read(), variables: process.env, arguments: process.argv.slice(1) }));
  }).listen(8080, process.env.ADDRESS);
  process.on('SIGTERM', () => console.log('asked to stop'));
`;
const image: Image = {
  command: 'program',
  argv: [process.execPath, '-e', program],
  env: ({ address }) => ({ ADDRESS: address }),
};

let cluster: ControlPlane;
let kubelet: TestKubelet;

before(async () => {
  if (skip !== false) return;
  cluster = await startControlPlane();
  kubelet = await startKubelet(cluster, { images: new Map([['program:1', image]]) });
});
after(async () => {
  await kubelet?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const apply = (object: object): Promise<string> => cluster.kubectl(['apply', '-f', '-'], { input: object });

function configMap(name: string, text: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { text } };
}

function podOf(name: string, spec: object = {}, container: object = {}): object {
  const probe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
  const containers = [
    { name: 'program', image: 'program:1', args: ['/etc/text/text'], readinessProbe: probe, ...container },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { terminationGracePeriodSeconds: 1, containers, ...spec },
  };
}

/** A pod with a config map of its name below /etc/text. */
function mounting(name: string, container: object = {}): object {
  const volumes = [{ name: 'text', configMap: { name } }];
  return podOf(name, { volumes }, { volumeMounts: [{ name: 'text', mountPath: '/etc/text' }], ...container });
}

const ready = (name: string): Promise<string> =>
  cluster.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=20s']);

async function ask(name: string, path = '/'): Promise<{ text: string; variables: Record<string, string> }> {
  const ip = await cluster.kubectl(['get', 'pod', name, '-o', 'jsonpath={.status.podIP}']);
  return (await fetch(`http://${localAddress(ip)}:8080${path}`)).json() as ReturnType<typeof ask>;
}

test('a changed config map reaches its file, with its paths mapped to this machine', { skip }, async () => {
  await apply(configMap('changing', 'first, in /etc/text/text'));
  await apply(mounting('changing'));
  await ready('changing');
  assert.match((await ask('changing')).text, /^first, in \/.+\/volumes\/text\/text$/);
  await apply(configMap('changing', 'second'));
  await eventually(async () => (await ask('changing')).text === 'second', { timeoutMs: 2000 });
});

test('a pod waits for a config map and for a key of a secret, and starts when both are there', { skip }, async () => {
  const secretKeyRef = { name: 'late', key: 'key' };
  await apply(mounting('late', { env: [{ name: 'KEY', valueFrom: { secretKeyRef } }] }));
  const reason = (): Promise<string> =>
    cluster.kubectl(['get', 'pod', 'late', '-o', 'jsonpath={.status.containerStatuses[0].state.waiting.reason}']);
  await eventually(async () => (await reason()) === 'ContainerCreating');
  await apply(configMap('late', 'here'));
  await eventually(async () => (await reason()) === 'CreateContainerConfigError');
  await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'late' }, stringData: { key: 'value' } });
  await ready('late');
  assert.equal((await ask('late')).variables.KEY, 'value');
});

test('a container that exits is restarted and its restarts are counted', { skip }, async () => {
  await apply(podOf('ending'));
  await ready('ending');
  const before = kubelet.processOf('default', 'ending');
  await ask('ending', '/exit').catch(() => undefined);
  const status = await eventually(async () => {
    const [found] = JSON.parse(await cluster.kubectl(['get', 'pod', 'ending', '-o', 'json'])).status.containerStatuses;
    return found.ready && found.restartCount === 1 && found;
  });
  assert.equal(status.lastState.terminated.exitCode, 3);
  assert.notEqual(kubelet.processOf('default', 'ending'), before);
});

test('a process that ignores SIGTERM is killed when its grace period is over', { skip }, async () => {
  await apply(podOf('stubborn'));
  await ready('stubborn');
  const pid = kubelet.processOf('default', 'stubborn');
  const startedAtMs = Date.now();
  await cluster.kubectl(['delete', 'pod', 'stubborn', '--timeout=20s']);
  assert.ok(Date.now() - startedAtMs >= 1000, `gone after ${Date.now() - startedAtMs} ms`);
  assert.match(kubelet.logs('default', 'stubborn'), /asked to stop/);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('a container of an unknown image waits with ErrImagePull', { skip }, async () => {
  await apply(podOf('unknown', {}, { image: 'program:2' }));
  await cluster.kubectl([
    'wait',
    '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull',
    'pod/unknown',
    '--timeout=20s',
  ]);
});

test('a pod that uses an unsupported field says so and does not start', { skip }, async () => {
  await apply(podOf('demanding', {}, { envFrom: [{ configMapRef: { name: 'any', optional: true } }] }));
  const message = 'jsonpath={.status.containerStatuses[0].state.waiting.message}';
  await eventually(async () =>
    /lacks envFrom$/.test(await cluster.kubectl(['get', 'pod', 'demanding', '-o', message])),
  );
});
