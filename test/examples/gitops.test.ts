import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

import { bundles } from '../../infra/bundles.ts';
import { defaultImage, natsImage } from '../../infra/image.ts';
import manifest from '../../package.json' with { type: 'json' };
import { writePackages } from '../../tools/packages.ts';
import { apiServerOrSkip } from '../kit/apiserver.ts';
import { findApiServerBinaries } from '../kit/apiserver-binaries.ts';
import { root } from './kit.ts';

const gitops = join(root, 'examples/gitops');

test('a copy of the cdk8s app synthesizes two gateways and a processor over one group with its own NATS', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-gitops-'));
  try {
    cpSync(join(gitops, 'app'), folder, { recursive: true, filter: (path) => !/\/(dist|node_modules)$/.test(path) });
    await installWithoutRegistry(folder);
    const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
    execFileSync('npm', ['run', 'synth'], { cwd: folder, env: { ...process.env, PATH } });
    assert.deepEqual(readdirSync(join(folder, 'dist')), ['shop.yaml']);
    const text = readFileSync(join(folder, 'dist/shop.yaml'), 'utf8');
    const objects = parseAllDocuments(text).map((document) => document.toJS());
    const names = objects
      .filter(({ kind }) => /Deployment|StatefulSet/.test(kind))
      .map(({ metadata }) => metadata.name);
    assert.deepEqual(names.sort(), ['chat-gateway', 'shop-nats', 'support-mproc', 'ticker-gateway']);
    const groups = objects.map(({ metadata }) => metadata.labels['hydrogen.dev/group-name']);
    assert.deepEqual([...new Set(groups)], ['shop']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the cdk8s app asks for this release of the constructs', () => {
  const { dependencies } = JSON.parse(readFileSync(join(gitops, 'app/package.json'), 'utf8'));
  assert.equal(dependencies['hydrogen-gateway'], `^${manifest.version}`);
});

/** What `npm install` does for the app, with our package as it is published and everything else from this project. */
async function installWithoutRegistry(folder: string): Promise<void> {
  await writePackages(join(folder, 'node_modules'));
  for (const name of ['cdk8s', 'cdk8s-plus-28', 'constructs', 'yaml'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
}

test('the overlay patches objects and an image that dist/ has', () => {
  const overlay = parse(readFileSync(join(gitops, 'overlay/kustomization.yaml'), 'utf8'));
  assert.deepEqual(overlay.resources, ['../../../dist']);
  const objects = parseAllDocuments(bundles()['operator.yaml'] ?? '').map((document) => document.toJS());
  for (const { target } of overlay.patches as { target: { kind: string; name: string } }[]) {
    const found = objects.filter(({ kind, metadata }) => kind === target.kind && metadata.name === target.name);
    assert.equal(found.length, 1, JSON.stringify(target));
  }
  assert.ok(defaultImage.startsWith(`${overlay.images[0].name}:`));
});

test('kubectl builds the overlay: every image comes from its registry', { skip: await apiServerOrSkip() }, async () => {
  const { kubectl } = await findApiServerBinaries();
  const output = execFileSync(kubectl, ['kustomize', join(gitops, 'overlay')], { encoding: 'utf8' });
  const objects = parseAllDocuments(output).map((document) => document.toJS());
  const { spec } = objects.find(({ kind }) => kind === 'Deployment').spec.template;
  const [{ image, args, command }] = spec.containers;
  assert.equal(image, `registry.example.com/hydrogen:${defaultImage.split(':')[1]}`);
  assert.equal(args.at(-1), `registry.example.com/nats:${natsImage.split(':')[1]}`);
  assert.equal(command[0], 'node');
  assert.doesNotMatch(output, /image: (ghcr|docker)\.io/);
});
