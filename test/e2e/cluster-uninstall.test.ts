/** The uninstallation: in the wrong order it harms nothing, in the documented one it leaves nothing behind. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';

import { eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 60_000, everyMs: 100 };
const dist = (name: string): string => join(root, 'dist', name);

const definition = 'crd/hydrogengateways.hydrogen.dev';

async function untilGone(resource: string): Promise<void> {
  const found = (): Promise<string> => stage.platform.cluster.kubectl(['get', resource]).catch(String);
  await eventually(async () => /not found/i.test(await found()), patiently);
}

/** Resolves once the server has taken over the policy. */
async function untilGuarded(): Promise<void> {
  const remove = ['delete', definition, '--dry-run=server'];
  const answer = (): Promise<string> => stage.platform.cluster.kubectl(remove).catch(String);
  await eventually(async () => (await answer()).includes('allow-deletion=true'), patiently);
}

test('deleting everything that was installed keeps the definitions, the objects and their pods', { skip }, async () => {
  const { cluster } = stage.platform;
  const namespace = await stage.chat('keeps');
  await using client = await namespace.connect('chat', '/chat');
  const definitions = async (): Promise<string> => cluster.kubectl(['get', 'crd', '-o', 'name']);
  const before = await definitions();

  // The definitions come first in the file, so they are refused before the policy goes.
  await assert.rejects(cluster.kubectl(['delete', '-f', dist('install.yaml'), '--timeout=60s']), (error: Error) => {
    assert.match(error.message, /deleting this definition deletes every object of its kind in every namespace/);
    assert.match(error.message, /delete the objects first, then the operator, then the definition/);
    return true;
  });
  assert.equal(await definitions(), before);
  await untilGone('namespace/hydrogen-system');
  for (const resource of chatResources) {
    assert.equal((await namespace.get(resource)).metadata.deletionTimestamp, undefined);
  }
  client.send('still');
  assert.equal(await client.nextText(), 'echo still');

  // The operator, installed again, goes on where it was, and the documented order works.
  await cluster.kubectl(['apply', '--server-side', '-f', dist('install.yaml')]);
  await untilGuarded();
  await namespace.kubectl(['delete', 'hmp,hgw,hgrp', '--all', '--timeout=60s']);
  await cluster.kubectl(['delete', '-f', dist('operator.yaml'), '--timeout=60s']);
  await cluster.kubectl(['delete', '-f', dist('crds.yaml'), '--timeout=60s']);
  await eventually(async () => (await definitions()).trim() === '', patiently);
  await untilGone('namespace/hydrogen-system');
});

// The last test of the file: it installs again.
test('an annotated definition can be deleted while the operator runs', { skip }, async () => {
  const { cluster } = stage.platform;
  await cluster.kubectl(['apply', '--server-side', '-f', dist('install.yaml')]);
  await untilGuarded();
  await cluster.kubectl(['annotate', definition, 'hydrogen.dev/allow-deletion=true']);
  await cluster.kubectl(['delete', definition, '--timeout=60s']);
});
