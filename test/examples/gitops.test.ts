import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

import { bundles } from '../../infra/bundles.ts';
import { defaultImage, natsImage } from '../../infra/image.ts';
import { apiServerOrSkip } from '../kit/apiserver.ts';
import { findApiServerBinaries } from '../kit/apiserver-binaries.ts';
import { root } from './kit.ts';

const gitops = join(root, 'examples/gitops');

test('the cdk8s app synthesizes two gateways and a processor over one group with its own NATS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'hydrogen-gitops-'));
  try {
    execFileSync(process.execPath, [join(gitops, 'app/main.ts'), folder]);
    assert.deepEqual(readdirSync(folder), ['shop.yaml']);
    const text = readFileSync(join(folder, 'shop.yaml'), 'utf8');
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
