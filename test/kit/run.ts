/**
 * Every lane of `npm test`. What needs no cluster runs while Kubernetes is built, with the lowest priority, so that a
 * build delays no test; then what needs a cluster, and that again on the oldest Kubernetes. All lanes run, whatever fails,
 * and the end says what was skipped in any of them.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { oldestKubernetes } from './apiserver-binaries.ts';
import { testLanes } from './lanes.ts';
import './orphans.ts';
import { say } from './program.ts';
import { type SkippedTest, summary } from './skipped.ts';

const folder = mkdtempSync(join(tmpdir(), 'hydrogen-lanes-'));
const prepare = join(import.meta.dirname, 'prepare.ts');

/** Exit code of a command that prints where this one does. */
async function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'inherit' });
  const [code] = await once(child, 'close');
  return typeof code === 'number' ? code : 1;
}

/** Runs these files or patterns with the reporters of `npm run test:files`; what is skipped goes into a file. */
async function lane(
  name: string,
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<number> {
  say(`lane ${name}`);
  return run('npm', ['run', '--silent', script, '--', ...args], { ...env, TEST_SKIPPED: join(folder, 'skipped') });
}

function readSkipped(): SkippedTest[] {
  try {
    const lines = readFileSync(join(folder, 'skipped'), 'utf8').trim().split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  } catch {
    return [];
  }
}

async function runAll(): Promise<number> {
  if ((await run(process.execPath, [prepare, 'small'])) !== 0) return 1;
  const building = run('nice', ['-n', '19', process.execPath, prepare, 'kubernetes']);
  const { withCluster, withoutCluster } = testLanes();
  const codes = [await lane('without a cluster', 'test:files', withoutCluster)];
  codes.push(await building);
  codes.push(await lane('with a cluster', 'test:files', withCluster));
  codes.push(await lane(`with a cluster of Kubernetes ${oldestKubernetes}`, 'test:oldest', []));
  process.stdout.write([...summary(readSkipped())].join(''));
  return codes.some((code) => code !== 0) ? 1 : 0;
}

try {
  process.exitCode = await runAll();
} finally {
  rmSync(folder, { recursive: true });
}
