/** Flags that cannot be right are refused at once, with the syntax that the fields of documents have. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { startHydrogen } from '../kit/hydrogen.ts';

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
