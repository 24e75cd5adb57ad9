/** Flags that cannot be right are refused at once, with the syntax that the fields of documents have. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { platform } from 'node:os';
import test from 'node:test';

import { root, startHydrogen } from '../kit/hydrogen.ts';

async function refusal(...args: string[]): Promise<string> {
  await using command = startHydrogen(args);
  assert.equal(await command.exited, 2, command.output());
  assert.doesNotMatch(command.output(), /^\s+at /m);
  return command.output();
}

test('a NATS server must have the syntax of nats.servers', async () => {
  for (const command of [['dev'], ['dlq', 'list']]) {
    assert.match(
      await refusal(...command, '--nats', 'http://x'),
      /option '--nats <url>' argument 'http:\/\/x' is invalid\. It must be a nats:\/\/, tls:\/\/ or ws:\/\/ URL/,
    );
  }
});

test('a namespace must be a DNS label, in every command that takes one', async () => {
  const commands = [
    ['manifests', '--namespace'],
    ['manifests', '--watch-namespace'],
    ['operator', '--namespace'],
    ['operator', '--lease-namespace'],
    ['describe', 'group/chat', '--namespace'],
    ['status', '--namespace'],
  ];
  for (const command of commands)
    assert.match(await refusal(...command, 'Bad_Name'), /argument 'Bad_Name' is invalid\. It must be a DNS label/);
});

test('an image must be a reference without spaces', async () => {
  const commands = [
    ['manifests', '--image'],
    ['manifests', '--nats-image'],
    ['render', '-f', 'examples/echo.yaml', '--image'],
    ['operator', '--image'],
  ];
  for (const command of commands) {
    for (const image of ['', 'a b'])
      assert.match(await refusal(...command, image), /is invalid\. It must be an image reference such as/);
  }
});

test('without the documents that a pod has, a role asks for the flag that names others', async () => {
  for (const command of [['gateway'], ['mproc'], ['dlq', 'list']])
    assert.match(await refusal(...command), /hydrogen\.yaml: only a pod has this file; name yours with --config$/m);
});

const skip = platform() === 'linux' ? false : 'only Linux has a device that is always full';

test('output that cannot be written is one sentence and a failure', { skip }, () => {
  const full = openSync('/dev/full', 'w');
  try {
    const { status, stderr } = spawnSync(process.execPath, [`${root}/cli/hydrogen.js`, 'completion', 'bash'], {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    });
    assert.deepEqual(
      [status, stderr],
      [1, 'hydrogen: the output could not be written: ENOSPC: no space left on device, write\n'],
    );
  } finally {
    closeSync(full);
  }
});
