/** `hydrogen operator` and `hydrogen describe` as processes. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { eventually, holds } from '../kit/eventually.ts';
import { freePortBase } from '../kit/ports.ts';
import { type FakeApi, startFakeApi } from './kit/api.ts';
import { gateway, group } from './kit/operator.ts';

const hydrogen = join(import.meta.dirname, '../../cli/hydrogen.js');

interface Command extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly port: number;
  output(): string;
}

async function start(api: FakeApi, ...more: readonly string[]): Promise<Command> {
  const port = await freePortBase();
  const args = ['operator', '--kubeconfig', api.kubeconfig, '--probe-port', `${port}`, '--host', '127.0.0.1', ...more];
  const child = spawn(process.execPath, [hydrogen, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  return {
    child,
    port,
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

const holderOf = (api: FakeApi): string | undefined =>
  api.get('leases', 'hydrogen-operator', 'hydrogen-system')?.spec.holderIdentity;
const patience = { timeoutMs: 30_000 };

test('it leads, is ready, counts its calls, and on SIGTERM releases the lease and exits with code 0', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  await using command = await start(api, '--image', 'mine:1');
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined, patience);
  assert.equal(api.get('deployments', 'chat-gateway').spec.template.spec.containers[0].image, 'mine:1');
  const probe = async (path: string): Promise<Response> => fetch(`http://127.0.0.1:${command.port}${path}`);
  assert.equal((await probe('/livez')).status, 200);
  await eventually(async () => (await probe('/readyz')).status === 200);
  const metrics = await (await probe('/metrics')).text();
  assert.match(metrics, /hydrogen_operator_leading 1/);
  assert.match(metrics, /hydrogen_operator_api_calls_total\{verb="PATCH",resource="deployments",status="201"\} 1/);
  assert.ok(holderOf(api));
  command.child.kill('SIGTERM');
  const [code] = await once(command.child, 'exit');
  assert.equal(code, 0);
  assert.equal(holderOf(api), '');
});

test('an operator that was suspended writes nothing after another one has taken over, and exits with code 1', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  await using first = await start(api, '--image', 'first:1');
  await eventually(() => first.output().includes('leading: this operator acts'), patience);
  const firstHolder = holderOf(api);
  await using second = await start(api, '--image', 'second:1');
  await eventually(() => second.output().includes('another operator leads'), patience);
  first.child.kill('SIGSTOP');
  await eventually(() => holderOf(api) !== firstHolder, patience);
  api.put('hydrogengateways', gateway());
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined, patience);
  const owner = holderOf(api);
  first.child.kill('SIGCONT');
  const [code] = await once(first.child, 'exit');
  assert.equal(code, 1);
  await holds(() => holderOf(api) === owner, 200);
  const images = api
    .writes()
    .filter(({ path }) => path.includes('/deployments/'))
    .map(({ body }) => body.spec.template.spec.containers[0].image);
  assert.deepEqual([...new Set(images)], ['second:1']);
});

test('a missing cluster or group is reported in one line, with exit code 2', async () => {
  await using api = await startFakeApi();
  const run = promisify(execFile);
  for (const [args, message] of [
    [['operator', '--kubeconfig', '/nowhere'], /no cluster: \/nowhere is not a kubeconfig: ENOENT/],
    [['describe', 'group/none', '--kubeconfig', api.kubeconfig], /no HydrogenGroup none in namespace default/],
    [['describe', 'pods', '--kubeconfig', api.kubeconfig], /group\/NAME/],
  ] as const) {
    await assert.rejects(run(process.execPath, [hydrogen, ...args]), (error: { code: number; stderr: string }) => {
      assert.equal(error.code, 2);
      assert.match(error.stderr, message);
      assert.equal(error.stderr.trim().split('\n').length, 1);
      return true;
    });
  }
});
