/** The command as a user gets it: installed from its package, in an empty folder. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after } from 'node:test';

import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { root, startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';
import { installOrSkip, npm, PackedPackages, quietly, run } from './kit.ts';

const packed = await PackedPackages.create();
after(() => packed[Symbol.asyncDispose]());
const app = join(packed.folder, 'app');
const command = join(app, 'node_modules/.bin/hydrogen');
const skip = await installOrSkip(async () => {
  await mkdir(app);
  await writeFile(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true }));
  await npm(app, 'install', packed.archive('hydrogen-gateway-cli'), ...quietly);
});

test('the installed command runs from its built files', { skip }, async () => {
  const { stdout } = await run(app, process.execPath, command, 'manifests', '--crds-only');
  assert.equal(stdout, (await readFile(join(root, 'dist/crds.yaml'), 'utf8')).replaceAll(/^#.*\n/gm, ''));
});

test('npx runs the command by the name of its package', { skip }, async () => {
  const { stdout } = await run(app, 'npx', '--no-install', 'hydrogen-gateway-cli', '--version');
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('the installed command runs its echo example', { skip }, async () => {
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '--port-base', `${base}`], {}, command);
  await eventually(() => /^ready/m.test(dev.output()), { timeoutMs: 30_000 });
  await using client = await connect(`ws://127.0.0.1:${base}/echo`);
  client.send('from a package');
  assert.equal(await client.nextText(), 'from a package');
});

test('the package contains the built files and no sources or tests', async () => {
  const { stdout } = await run(packed.folder, 'tar', '-tzf', packed.archive('hydrogen-gateway-cli'));
  const files = stdout.trim().split('\n');
  assert.ok(files.includes('package/build/cli/main.js') && files.includes('package/examples/echo.yaml'));
  assert.deepEqual(
    files.filter((file) => /\.ts$|node_modules|\/(test|bench)\//.test(file)),
    [],
  );
  for (const file of ['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md'])
    assert.ok(files.includes(`package/${file}`));
});

test('the command of docs/install.md installs what the package needs from its folder', { skip }, async () => {
  const page = await readFile(join(root, 'docs/install.md'), 'utf8');
  const [, flags = ''] = /^npm install --global (.*)\.\/build\/packages\/hydrogen-gateway-cli /m.exec(page) ?? [];
  const source = join(packed.folder, 'packages/hydrogen-gateway-cli');
  const prefix = join(packed.folder, 'prefix');
  await npm(packed.folder, 'install', '--global', `--prefix=${prefix}`, ...flags.trim().split(' '), source, ...quietly);
  const { stdout } = await run(packed.folder, process.execPath, join(prefix, 'bin/hydrogen'), '--version');
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});
