/**
 * The constructs in the apps that today's tools make: the scaffold of `cdk8s init typescript-app` as the newest cdk8s-cli
 * has it (CommonJS, ts-jest, the newest cdk8s-plus), and an app of ES modules. Both use cdk8s-plus-28 as well.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after } from 'node:test';

import { installOrSkip, npm, PackedPackages, quietly, run } from './kit.ts';

const packed = await PackedPackages.create();
after(() => packed[Symbol.asyncDispose]());
const scaffold = join(packed.folder, 'scaffold');
const skip = await installOrSkip(createScaffold);
const newestPlus = skip === false ? await plusOf(scaffold) : '';
const main = skip === false ? await appText() : '';

/** What `cdk8s init` writes, without its import of the Kubernetes API, which needs GitHub; with our package installed. */
async function createScaffold(): Promise<void> {
  await npm(packed.folder, 'pack', 'cdk8s-cli', '--pack-destination', packed.folder, '--prefer-offline');
  const archive = (await readdir(packed.folder)).find((file) => file.startsWith('cdk8s-cli-')) ?? '';
  await run(packed.folder, 'tar', '-xzf', archive, 'package/templates/typescript-app');
  await cp(join(packed.folder, 'package/templates/typescript-app'), scaffold, { recursive: true });
  await rename(join(scaffold, '{{}}.gitignore'), join(scaffold, '.gitignore'));
  for (const file of ['package.json', 'main.ts']) {
    const text = await readFile(join(scaffold, file), 'utf8');
    const filled = text.replaceAll(/\^?\{\{ (\S+) \}\}/g, (_, name) => (name === '$base' ? 'app' : 'latest'));
    await writeFile(join(scaffold, file), filled);
  }
  await npm(scaffold, 'install', ...quietly);
  await npm(scaffold, 'install', packed.archive('hydrogen-gateway'), ...quietly);
}

async function plusOf(folder: string): Promise<string> {
  const { dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return Object.keys(dependencies).find((name) => name.startsWith('cdk8s-plus-')) ?? '';
}

/** `main.ts` of the scaffold with our constructs in it, as peers of policies of both versions of cdk8s-plus. */
async function appText(): Promise<string> {
  const text = await readFile(join(scaffold, 'main.ts'), 'utf8');
  const imports = [
    `import * as newest from '${newestPlus}';`,
    "import * as oldest from 'cdk8s-plus-28';",
    "import { HydrogenGateway, HydrogenGroup } from 'hydrogen-gateway';",
  ];
  const resources = `
    const spec = { nats: { managed: { replicas: 3 } } };
    const group = new HydrogenGroup(this, 'Group', { name: 'chat', spec });
    const gateway = new HydrogenGateway(this, 'Gateway', { name: 'chat', group, spec: { endpoints: [{ path: '/chat' }] } });
    const ports = [newest.NetworkPolicyPort.tcp(80)];
    new newest.NetworkPolicy(this, 'Newest', { ingress: { rules: [{ peer: gateway, ports }] } });
    new oldest.NetworkPolicy(this, 'Oldest', { selector: gateway, ingress: { rules: [{ peer: gateway, ports: [] }] } });
    new newest.Pod(this, 'Pod', { containers: [{ image: 'image' }] }).connections.allowTo(gateway, { ports });
`;
  return `${imports.join('\n')}\n${text.replace('// define resources here', resources.trim())}`;
}

test('the scaffold of cdk8s init builds and passes its tests with our constructs in it', { skip }, async () => {
  await writeFile(join(scaffold, 'main.ts'), main);
  // The scaffold has a snapshot of an empty chart.
  await npm(scaffold, 'test', '--', '-u');
  await npm(scaffold, 'run', 'build');
  const snapshot = await readFile(join(scaffold, '__snapshots__/main.test.ts.snap'), 'utf8');
  assert.match(snapshot, /"hydrogen.dev\/gateway": "chat"/);
  const [file = ''] = await readdir(join(scaffold, 'dist'));
  await assertSynthesized(join(scaffold, 'dist', file));
});

test('an app of ES modules compiles and synthesizes with our constructs in it', { skip }, async () => {
  const app = join(packed.folder, 'esm');
  await mkdir(app);
  await symlink(join(scaffold, 'node_modules'), join(app, 'node_modules'));
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }));
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022'],
    module: 'nodenext',
    strict: true,
    verbatimModuleSyntax: true,
  };
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }));
  await writeFile(join(app, 'main.ts'), main.replace('ChartProps }', 'type ChartProps }'));
  await run(app, 'node_modules/.bin/tsc', '-p', '.');
  await run(app, process.execPath, 'main.js');
  const [file = ''] = await readdir(join(app, 'dist'));
  await assertSynthesized(join(app, 'dist', file));
});

async function assertSynthesized(file: string): Promise<void> {
  const text = await readFile(file, 'utf8');
  assert.match(text, /kind: StatefulSet[\s\S]*name: chat-gateway/);
  assert.equal(text.match(/kind: NetworkPolicy\n/g)?.length, 6, text);
  assert.match(text, /podSelector:\n\s+matchLabels:\n\s+hydrogen.dev\/gateway: chat/);
}

test('an app of both module systems gets the same classes', { skip }, async () => {
  const script = `
    import { createRequire } from 'node:module';
    import { InvalidDocuments, HydrogenGateway } from 'hydrogen-gateway';
    const required = createRequire(import.meta.url)('hydrogen-gateway');
    if (required.InvalidDocuments !== InvalidDocuments || required.HydrogenGateway !== HydrogenGateway) process.exit(1);`;
  const file = join(scaffold, 'both.mjs');
  await writeFile(file, script);
  await run(scaffold, process.execPath, file);
});

test('the types of the installed package refuse an invalid spec', { skip }, async () => {
  const text = `
import type { HydrogenGatewaySpecInput } from 'hydrogen-gateway';
export const spec: HydrogenGatewaySpecInput = { groupRef: { name: 'chat' }, endpoints: [], mode: 'Sideways' };
`;
  await mkdir(join(scaffold, 'wrong'));
  await writeFile(join(scaffold, 'wrong/main.ts'), text);
  const flags = ['--noEmit', '--strict', '--skipLibCheck', 'wrong/main.ts'];
  await assert.rejects(
    run(scaffold, 'node_modules/.bin/tsc', ...flags),
    /wrong\/main\.ts\(3,\d+\): error TS2322: .*"Sideways"/,
  );
});

test('installing the constructs brings nothing of the runtime', { skip }, async () => {
  const app = join(packed.folder, 'small');
  await mkdir(app);
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true }));
  await npm(app, 'install', packed.archive('hydrogen-gateway'), ...quietly);
  const installed = (await readdir(join(app, 'node_modules'))).filter((name) => !name.startsWith('.'));
  assert.deepEqual(installed.sort(), ['cdk8s', 'cdk8s-plus-28', 'constructs', 'hydrogen-gateway', 'yaml']);
});

test('the package has its declarations, its pages, dist/ and the licences of what it contains, and no sources', async () => {
  const { stdout } = await run(packed.folder, 'tar', '-tzf', packed.archive('hydrogen-gateway'));
  const files = stdout.trim().split('\n');
  for (const file of ['index.js', 'index.mjs', 'index.d.mts', 'types/infra/index.d.ts', 'dist/install.yaml'])
    assert.ok(files.includes(`package/${file}`), file);
  for (const file of ['LICENSE', 'LICENSES-THIRD-PARTY.txt', 'README.md', 'CHANGELOG.md', 'SECURITY.md'])
    assert.ok(files.includes(`package/${file}`), file);
  assert.deepEqual(
    files.filter((file) => /(?<!\.d)\.ts$|node_modules|\/test\//.test(file)),
    [],
  );
});
