/** The package as a user gets it: packed, installed into an empty cdk8s app, type-checked, synthesized. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { promisify } from 'node:util';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const tsc = join(root, 'node_modules/typescript/bin/tsc');

const main = `
import { App, Chart } from 'cdk8s';
import { HydrogenGateway, HydrogenGroup, HydrogenGroupResource, type HydrogenGatewaySpecInput } from 'hydrogen-gateway';

const app = new App();
const chart = new Chart(app, 'chat', { namespace: 'chat' });
const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: { nats: { managed: { replicas: 3 } } } });
const spec: Omit<HydrogenGatewaySpecInput, 'groupRef'> = { endpoints: [{ path: '/chat' }] };
const gateway = new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec });
new HydrogenGroupResource(chart, 'resource', { metadata: { name: 'other' }, spec: { nats: { servers: [gateway.managementUrl.replace('http', 'nats')] } } });
app.synth();
`;

const wrong = `
import type { HydrogenGatewaySpecInput } from 'hydrogen-gateway';
export const spec: HydrogenGatewaySpecInput = { groupRef: { name: 'chat' }, endpoints: [{ path: '/chat' }], mode: 'Sideways' };
`;

/** The settings of `cdk8s init typescript-app`, as far as today's compiler still has them, and those of an ESM app. */
const flavours = {
  commonjs: { type: 'commonjs', module: 'commonjs' },
  esm: { type: 'module', module: 'nodenext' },
} as const;

const folder = await mkdtemp(join(tmpdir(), 'hydrogen-package-'));
after(() => rm(folder, { recursive: true, force: true }));
const tarball = await pack();
const skip = await installOrSkip();

async function pack(): Promise<string> {
  const { stdout } = await npm(root, 'pack', '--json', '--pack-destination', folder);
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as { filename: string }[];
  return join(folder, packed?.filename ?? '');
}

/** Installs the package with its peers cdk8s and constructs. Returns why it could not be installed, or false. */
async function installOrSkip(): Promise<string | false> {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'apps', private: true }));
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--omit=dev'];
  try {
    await npm(folder, 'install', tarball, ...flags);
    return false;
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    const isOffline = /\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENOTCACHED)\b/.test(stderr);
    if (!isOffline || process.env.CI) throw error;
    return 'the npm registry cannot be reached';
  }
}

function npm(cwd: string, ...args: string[]): Promise<{ stdout: string }> {
  return run('npm', args, { cwd, maxBuffer: 16 * 1024 * 1024 });
}

for (const [name, { type, module }] of Object.entries(flavours)) {
  test(`an empty cdk8s app of flavour ${name} type-checks and synthesizes with the installed package`, {
    skip,
  }, async () => {
    const app = join(folder, name);
    await mkdir(app);
    await mkdir(join(app, 'node_modules'));
    await symlink(join(root, 'node_modules/@types'), join(app, 'node_modules/@types'));
    await writeFile(join(app, 'package.json'), JSON.stringify({ name, private: true, type }));
    const compilerOptions = { target: 'es2022', module, strict: true, types: ['node'], skipLibCheck: false };
    await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
    await writeFile(join(app, 'main.ts'), main);
    await run(process.execPath, [tsc, '-p', app]);
    const { CDK8S_OUTDIR: _, ...env } = process.env;
    await run(process.execPath, ['main.js'], { cwd: app, env });
    const [file = ''] = await readdir(join(app, 'dist'));
    const text = await readFile(join(app, 'dist', file), 'utf8');
    assert.match(text, /kind: StatefulSet[\s\S]*name: chat-gateway[\s\S]*kind: HydrogenGroup/);
  });
}

test('the types of the installed package refuse an invalid spec', { skip }, async () => {
  const app = join(folder, 'wrong');
  await mkdir(app);
  await writeFile(join(app, 'package.json'), JSON.stringify({ type: 'module' }));
  const compilerOptions = { target: 'es2022', module: 'nodenext', strict: true, types: [], noEmit: true };
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
  await writeFile(join(app, 'main.ts'), wrong);
  const { stdout } = await run(process.execPath, [tsc, '-p', app]).catch((error: { stdout: string }) => error);
  assert.match(stdout, /main\.ts\(3,\d+\): error TS2322: .*"Sideways"/);
});

test('the installed command runs from its built files', { skip }, async () => {
  const command = join(folder, 'node_modules/.bin/hydrogen');
  const { stdout } = await run(process.execPath, [command, 'manifests', '--crds-only'], { cwd: folder });
  assert.equal(stdout, (await readFile(join(root, 'dist/crds.yaml'), 'utf8')).replaceAll(/^#.*\n/gm, ''));
});

test('the installed command runs its echo example', { skip }, async () => {
  const command = join(folder, 'node_modules/.bin/hydrogen');
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '--port-base', `${base}`], {}, command);
  await eventually(() => /^ready/m.test(dev.output()), { timeoutMs: 30_000 });
  await using client = await connect(`ws://127.0.0.1:${base}/echo`);
  client.send('from a package');
  assert.equal(await client.nextText(), 'from a package');
});

test('the package contains the built files and dist/, and no sources or tests', async () => {
  const { stdout } = await run('tar', ['-tzf', tarball]);
  const files = stdout.split('\n').filter((file) => file !== '');
  assert.ok(files.includes('package/build/infra/index.d.ts') && files.includes('package/dist/install.yaml'));
  const foreign = files.filter((file) => /^package\/(test|bench|node_modules)\/|(?<!\.d)\.ts$/.test(file));
  assert.deepEqual(foreign, []);
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md'])
    assert.ok(files.includes(`package/${file}`));
});
