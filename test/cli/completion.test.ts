/** Completion, asked in the shells themselves as far as they are installed. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';

import { root } from '../kit/hydrogen.ts';

const folder = mkdtempSync(join(tmpdir(), 'hydrogen-completion-'));
after(() => rmSync(folder, { recursive: true }));

function scriptFor(shell: string): string {
  return execFileSync(process.execPath, [join(root, 'cli/hydrogen.js'), 'completion', shell], { encoding: 'utf8' });
}

const notInstalled = (shell: string): string | false =>
  spawnSync(shell, ['--version']).error === undefined ? false : `${shell} is not installed`;

/** What bash offers for the last of `words`. */
function offeredByBash(...words: string[]): string[] {
  const file = join(folder, 'bash');
  writeFileSync(file, scriptFor('bash'));
  const asked = `source ${file}; COMP_WORDS=(hydrogen ${words.map((word) => `'${word}'`).join(' ')})
    COMP_CWORD=${words.length}; _hydrogen; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', asked], { cwd: root, encoding: 'utf8' }).trim().split('\n');
}

test('bash completes commands, commands of commands, flags, and the words that a flag takes', () => {
  assert.deepEqual(offeredByBash('desc'), ['describe']);
  assert.deepEqual(offeredByBash('dlq', 're'), ['replay']);
  assert.deepEqual(offeredByBash('render', '--im'), ['--image']);
  assert.deepEqual(offeredByBash('describe', 'group/chat', '-o', ''), ['json', 'yaml']);
  assert.deepEqual(offeredByBash('dev', '--log-level', 'de'), ['debug']);
  assert.deepEqual(offeredByBash('doctor', '--sec'), ['--secrets']);
  assert.deepEqual(offeredByBash('connections', 'dis'), ['disconnect']);
  assert.deepEqual(offeredByBash('connections', 'list', '--ch'), ['--channel']);
  assert.deepEqual(offeredByBash('connections', 'show', 'id', '-o', ''), ['json', 'yaml']);
  assert.deepEqual(offeredByBash('completion', ''), ['bash', 'zsh', 'fish', '--help']);
});

test('bash completes files where a flag takes one', () => {
  assert.deepEqual(offeredByBash('render', '-f', 'package.js'), ['package.json']);
});

test('zsh completes commands and flags', { skip: notInstalled('zsh') }, () => {
  const file = join(folder, 'zsh');
  writeFileSync(file, scriptFor('zsh'));
  const asked = `autoload -U compinit && compinit -u -d ${folder}/dump; source ${file}
    COMP_WORDS=(hydrogen dlq re); COMP_CWORD=2; _hydrogen; print -l $COMPREPLY`;
  assert.match(execFileSync('zsh', ['-c', asked], { encoding: 'utf8' }), /replay/);
});

test('fish completes commands and flags', { skip: notInstalled('fish') }, () => {
  const file = join(folder, 'hydrogen.fish');
  writeFileSync(file, scriptFor('fish'));
  const ask = (line: string): string =>
    execFileSync('fish', ['-c', `source ${file}; complete -C '${line}'`], { encoding: 'utf8' });
  assert.match(ask('hydrogen desc'), /^describe\t/m);
  assert.match(ask('hydrogen dlq re'), /^replay\t/m);
  assert.match(ask('hydrogen describe -o '), /^json/m);
});
