/** The packages as a user gets them: written, packed and installed with npm from its registry. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import manifest from '../../package.json' with { type: 'json' };
import { writePackages } from '../../tools/packages.ts';

const execute = promisify(execFile);

export type PackageName = 'hydrogen-gateway' | 'hydrogen-gateway-cli';

/** A folder outside the project, with the archives of both packages. */
export class PackedPackages implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<PackedPackages> {
    const packed = new PackedPackages(await mkdtemp(join(tmpdir(), 'hydrogen-packages-')));
    await writePackages(join(packed.folder, 'packages'));
    for (const name of ['hydrogen-gateway', 'hydrogen-gateway-cli'] as const) {
      await npm(join(packed.folder, 'packages', name), 'pack', '--pack-destination', packed.folder);
    }
    return packed;
  }

  /** Path of the archive of a package. */
  archive(name: PackageName): string {
    return join(this.folder, `${name}-${manifest.version}.tgz`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Runs npm, on the Node of this process. */
export function npm(cwd: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(cwd, 'npm', ...args);
}

/** Runs a command. @throws an error with both its streams */
export async function run(
  cwd: string,
  command: string,
  ...args: string[]
): Promise<{ stdout: string; stderr: string }> {
  const { CDK8S_OUTDIR: _, NODE_TEST_CONTEXT: __, ...rest } = process.env;
  const env = { ...rest, CDK8S_CHECK_UPGRADE: 'false', PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  try {
    return await execute(command, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 });
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed in ${cwd}\n${stdout}\n${stderr}`, { cause });
  }
}

/** Runs `install`. Returns false, or why nothing could be installed; with CI set, that is a failure. */
export async function installOrSkip(install: () => Promise<unknown>): Promise<string | false> {
  try {
    await install();
    return false;
  } catch (error) {
    const isOffline = /\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENOTCACHED)\b/.test(String(error));
    if (!isOffline || process.env.CI) throw error;
    process.stderr.write(
      'test kit: SKIPPED, because the npm registry cannot be reached: tests of installed packages\n',
    );
    return 'the npm registry cannot be reached';
  }
}

/** Flags of `npm install` that spare the network and the eyes. */
export const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
