/**
 * docs/first-steps.md, command by command, in an empty folder. Only ports and the source of our packages differ: they are
 * those of this tree. A block of shell belongs to the terminal that its first line names; the block of text after it is
 * what it prints, as far as the page shows it.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';
import { type Shell, startShell } from '../kit/shell.ts';
import { installOrSkip, npm, PackedPackages } from './kit.ts';

const skip = await installOrSkip(() => npm(root, 'view', 'constructs', 'version'));
const stepMs = 120_000;

interface Step {
  readonly terminal: string;
  readonly isLeftRunning: boolean;
  readonly script: string;
  /** Lines that it prints, among others. */
  readonly printed: readonly string[];
}

function stepsOf(page: string): Step[] {
  return [
    ...page.matchAll(/^```sh\n(# in (?:the|a) (\w+) terminal.*)\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```)?/gm),
  ].map(([, heading = '', terminal = '', script = '', text = '']) => ({
    terminal,
    isLeftRunning: heading.includes('leave it running'),
    script,
    printed: text.split('\n').filter((line) => line !== ''),
  }));
}

/** The script with free ports and the packages of this tree. */
async function adapter(packed: PackedPackages): Promise<(script: string) => string> {
  const [base, service] = [await freePortBase(), await freePortBase()];
  return (script) =>
    script
      .replaceAll('8080', `${base}`)
      .replaceAll('8081', `${base + 1}`)
      .replaceAll('3000', `${service}`)
      .replaceAll('hydrogen-gateway-cli dev', `hydrogen-gateway-cli dev --port-base ${base}`)
      .replaceAll(/npm install (hydrogen-gateway(?:-cli)?)$/gm, (_, name) => `npm install ${packed.archive(name)}`);
}

test('every command of docs/first-steps.md works in an empty folder', { skip }, async (t) => {
  const steps = stepsOf(await readFile(join(root, 'docs/first-steps.md'), 'utf8'));
  assert.ok(steps.length >= 8, `${steps.length} steps`);
  await using packed = await PackedPackages.create();
  const folder = join(packed.folder, 'empty');
  await mkdir(folder);
  const adapt = await adapter(packed);
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, npm_config_prefer_offline: 'true' };
  await using terminals = new Terminals();
  for (const { terminal, isLeftRunning, script, printed } of steps) {
    await terminals.free(terminal);
    const shell = startShell(`set -e\n${adapt(script)}`, folder, env);
    terminals.put(terminal, shell);
    t.diagnostic(`${terminal}: ${script.split('\n')[0]}`);
    if (isLeftRunning) await eventually(() => assertPrinted(shell, printed), { timeoutMs: stepMs });
    else assert.equal(await shell.exited, 0, shell.output());
    assertPrinted(shell, printed);
  }
  await eventually(() => assertPrinted(terminals.of('third'), ['news']));
});

function assertPrinted(shell: Shell, lines: readonly string[]): void {
  const printed = shell.output().split('\n');
  const missing = lines.filter((line) => !printed.some((one) => one.trim() === line));
  assert.deepEqual(missing, [], shell.output());
}

class Terminals implements AsyncDisposable {
  readonly #shells = new Map<string, Shell>();

  of(name: string): Shell {
    const shell = this.#shells.get(name);
    assert.ok(shell, name);
    return shell;
  }

  put(name: string, shell: Shell): void {
    this.#shells.set(name, shell);
  }

  /** Ends what runs there, as Ctrl-C does. */
  async free(name: string): Promise<void> {
    await this.#shells.get(name)?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#shells.keys()) await this.free(name);
  }
}
