import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { type HydrogenProcess, root, startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';
import { startShell } from '../kit/shell.ts';

async function untilReady(dev: HydrogenProcess): Promise<void> {
  await eventually(() => /^ready/m.test(dev.output()), { timeoutMs: 30_000 });
}

/** Runs a command that must end by itself. */
async function run(...args: string[]): Promise<{ code: number | string; output: string }> {
  await using command = startHydrogen(args);
  const code = await command.exited;
  return { code, output: command.output() };
}

async function withFile<T>(content: string, use: (file: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-cli-'));
  const file = join(directory, 'app.yaml');
  await writeFile(file, content);
  try {
    return await use(file);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('dev without documents runs the echo example and prints what listens where and a line to try', async () => {
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '--port-base', `${base}`]);
  await untilReady(dev);
  const output = dev.output();
  assert.match(output, new RegExp(`ws://127\\.0\\.0\\.1:${base}/echo`));
  assert.match(output, /messages do not survive this process/);
  await using client = await connect(`ws://127.0.0.1:${base}/echo`);
  client.send('hello');
  assert.equal(await client.nextText(), 'hello');
  client.send(Buffer.from([0, 255]));
  await eventually(() => client.binaries.length === 1);
  assert.deepEqual([...(client.binaries[0] ?? [])], [0, 255]);
  assert.equal((await fetch(`http://127.0.0.1:${base + 1010}/readyz`)).status, 200);
  assert.equal((await fetch(`http://127.0.0.1:${base + 1}/health`)).status, 200);
  dev.kill('SIGINT');
  assert.equal(await dev.exited, 0);
});

test('the lines to try, as dev and the README print them, work in a shell whose own node may be older', async () => {
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '--port-base', `${base}`]);
  await untilReady(dev);
  const [printed = ''] = /^ +(?:npx node|\/\S+) -e ".*"$/m.exec(dev.output()) ?? [];
  const [documented = ''] = /^npx node -e ".*"$/m.exec(await readFile(join(root, 'README.md'), 'utf8')) ?? [];
  for (const line of [printed, documented.replace(':8080/', `:${base}/`)]) {
    assert.match(line, /new WebSocket/);
    await using shell = startShell(line);
    await eventually(() => shell.output() === 'hello\n', { timeoutMs: 30_000 });
  }
});

test('dev runs several gateways and processors of several documents, and applies a changed file', async () => {
  await using destination = await startDestination((request) => ({ body: `1 ${request.json().message}` }));
  await using other = await startDestination((request) => ({ body: `2 ${request.json().message}` }));
  const rules = (url: string): Record<string, unknown> => ({
    routing: { rules: [{ name: 'all', pattern: '.*', destination: { url, reply: true } }] },
  });
  const text = yaml(
    groupDocument(),
    gatewayDocument({ endpoints: [{ path: '/one' }], paused: true }, { name: 'one' }),
    gatewayDocument({ endpoints: [{ path: '/two' }] }, { name: 'two' }),
    processorDocument(rules(destination.url)),
  );
  await withFile(text, async (file) => {
    const base = await freePortBase();
    await using dev = startHydrogen(['dev', '-f', file, '--port-base', `${base}`]);
    await untilReady(dev);
    assert.match(dev.output(), /HydrogenGateway\/one: spec\.paused has no effect here/);
    await using one = await connect(`ws://127.0.0.1:${base}/one`);
    await using two = await connect(`ws://127.0.0.1:${base + 100}/two`);
    one.send('a');
    two.send('b');
    assert.deepEqual([await one.nextText(), await two.nextText()], ['1 a', '1 b']);
    await writeFile(file, (await readFile(file, 'utf8')).replace(destination.url, other.url));
    await eventually(() => /configuration applied/.test(dev.output()));
    one.send('c');
    assert.equal(await one.nextText(), '2 c');
  });
});

const group = yaml(groupDocument());
const gateway = (spec: Record<string, unknown> = {}, name = 'g'): string => yaml(gatewayDocument(spec, { name }));

const mistakes: [title: string, text: string, pattern: RegExp][] = [
  [
    'an unknown kind',
    `${group}\n---\n{"apiVersion": "hydrogen.dev/v1alpha1", "kind": "HydrogenGate"}`,
    /HydrogenGateway, HydrogenMessageProcessor/,
  ],
  ['a name twice', [group, gateway(), gateway()].join('\n---\n'), /HydrogenGateway\/g/],
  [
    'an unknown field',
    [group, gateway({ limit: {} })].join('\n---\n'),
    /spec\.limit: unknown field; did you mean limits/,
  ],
  ['a missing group', gateway(), /spec\.groupRef\.name: there is no HydrogenGroup chat/],
  ['a syntax error', 'kind: [', /app\.yaml/],
  ['nothing', '', /app\.yaml/],
  ['a group alone', group, /neither a HydrogenGateway nor/],
];

for (const [title, text, pattern] of mistakes) {
  test(`dev refuses a file with ${title} in one clear line and exits 2`, async () => {
    await withFile(text, async (file) => {
      const { code, output } = await run('dev', '-f', file, '--port-base', '29000');
      assert.equal(code, 2, output);
      assert.match(output, pattern);
      assert.doesNotMatch(output, /^ +at /m);
    });
  });
}

test('misuse exits 2 and names the mistake, help exits 0', async () => {
  for (const [args, pattern] of [
    [['dev', '--prot-base', '1'], /--prot-base/],
    [['dev', '--port-base', '70000'], /port/],
    [['fly'], /fly/],
    [['gateway', '--config', '/nonexistent.yaml'], /nonexistent/],
    [['mproc', '--log-level', 'loud'], /loud/],
    [['dlq', 'show', 'x'], /whole number/],
  ] as const) {
    const { code, output } = await run(...args);
    assert.equal(code, 2, output);
    assert.match(output, pattern);
    assert.doesNotMatch(output, /^ +at /m);
  }
  const help = await run('--help');
  assert.equal(help.code, 0);
  for (const command of ['dev', 'gateway', 'mproc', 'echo', 'dlq'])
    assert.match(help.output, new RegExp(`^ +${command} `, 'm'));
});

test('a port that is taken produces one clear line and exit code 1', async () => {
  await using taken = await startDestination();
  const { code, output } = await run('echo', '--port', `${taken.port}`);
  assert.equal(code, 1);
  assert.match(output, /EADDRINUSE/);
  assert.doesNotMatch(output, /^ +at /m);
});

test('dev and gateway stop what they started when a port is taken, and exit 1', async () => {
  await using taken = await startDestination();
  const base = taken.port - 1;
  const dev = await run('dev', '-f', 'examples/timer/app.yaml', '--port-base', `${base}`);
  assert.deepEqual([dev.code, /EADDRINUSE/.test(dev.output)], [1, true], dev.output);
  const text = yaml(groupDocument({ nats: { servers: ['nats://127.0.0.1:1'] } }), gatewayDocument());
  await withFile(text, async (file) => {
    const { code, output } = await run('gateway', '--config', file, '--host', '127.0.0.1', '--port-base', `${base}`);
    assert.deepEqual([code, /EADDRINUSE/.test(output)], [1, true], output);
  });
});
