/** What the project is built from: named exactly, listed, and without scripts of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';

import { defaultImage, natsImage } from '../../infra/image.ts';
import { pinImages } from '../../tools/pin-images.ts';
import './sources.ts'; // the working directory is the root

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  /** Part of the package that it is in, whose hash covers it. */
  readonly inBundle?: boolean;
  readonly hasInstallScript?: boolean;
}

const json = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));
const manifest = json('package.json') as Manifest;
const { packages } = json('package-lock.json') as { packages: Readonly<Record<string, LockEntry>> };
const installed = Object.entries(packages).filter(([path]) => path !== '');
const nameOf = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

test('every dependency has one version', () => {
  const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  assert.deepEqual(
    versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)),
    [],
  );
  assert.deepEqual(
    installed
      .filter(([, { integrity = '', inBundle }]) => !inBundle && !integrity.startsWith('sha512-'))
      .map(([path]) => path),
    [],
  );
});

test('every action of the workflows is a commit, with its version beside it', () => {
  for (const file of readdirSync('.github/workflows')) {
    const uses = readFileSync(`.github/workflows/${file}`, 'utf8').match(/uses: .*/g) ?? [];
    assert.ok(uses.length > 0, file);
    for (const line of uses) assert.match(line, /^uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, file);
  }
});

test('no dependency runs a script when it is installed, except for the one that brings Node', () => {
  const scripted = installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => nameOf(path));
  const { allowScripts } = manifest as unknown as { allowScripts: Readonly<Record<string, boolean>> };
  assert.deepEqual(allowScripts, Object.fromEntries(scripted.map((name) => [name, name === 'node'])));
  const commands = [
    '.ci/run',
    'Dockerfile',
    ...readdirSync('.github/workflows').map((name) => `.github/workflows/${name}`),
  ];
  for (const file of commands) {
    const installs = readFileSync(file, 'utf8').match(/npm ci.*/g) ?? [];
    assert.deepEqual(
      [...new Set(installs)].filter((line) => line !== 'npm ci --ignore-scripts'),
      [],
      file,
    );
  }
});

test('the list of materials names each production dependency, and no other code', () => {
  const [, args = ''] = /npm (sbom [^>]*) >/.exec(manifest.scripts.sbom ?? '') ?? [];
  const { stdout, stderr } = spawnSync('npm', args.split(' '), { encoding: 'utf8' });
  assert.notEqual(stdout, '', stderr);
  const { bomFormat, components } = JSON.parse(stdout) as { bomFormat: string; components: { purl: string }[] };
  assert.equal(bomFormat, 'CycloneDX');
  const listed = new Set(components.map(({ purl }) => decodeURIComponent(purl)));
  // Types run nowhere, and npm leaves those out that development needs too.
  const isCode = (purl: string): boolean => !/^pkg:npm\/(@types\/|undici-types@)/.test(purl);
  const production = installed.filter(([, { dev, devOptional }]) => !dev && !devOptional);
  const expected = new Set(production.map(([path, { version }]) => `pkg:npm/${nameOf(path)}@${version}`));
  assert.deepEqual([...listed].filter(isCode).sort(), [...expected].filter(isCode).sort());
});

test('a release gives each image of its manifests a digest, and stops at one that has none', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const digests = new Map([defaultImage, natsImage].map((image) => [image, digest]));
  for (const file of readdirSync('dist').filter((name) => name.endsWith('.yaml'))) {
    const pinned = pinImages(readFileSync(`dist/${file}`, 'utf8'), digests);
    assert.deepEqual(pinned.match(/^ *(- )?image: [^@\n]+$/gm) ?? [], [], file);
  }
  const demo = readFileSync('dist/demo.yaml', 'utf8');
  assert.ok(pinImages(demo, digests).includes(`image: ${natsImage}@${digest}\n`));
  assert.throws(() => pinImages(demo, new Map([[natsImage, digest]])), /no digest of ghcr\.io/);
  assert.throws(() => pinImages(demo, new Map([...digests, [natsImage, 'latest']])), /latest of .* is not a digest/);
  assert.match(readFileSync('.github/workflows/release.yml', 'utf8'), new RegExp(`NATS_IMAGE: ${natsImage}\n`));
});
