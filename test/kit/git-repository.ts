/** A local Git repository for programs that clone one: its work tree is a folder that tests write to. */

import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fail } from './program.ts';
import { run } from './program-sources.ts';

export interface GitRepository extends AsyncDisposable {
  /** `file://...` */
  readonly url: string;
  /** Writes files by path (`undefined` removes one), commits them on branch `main`, and resolves with the commit. */
  commit(files: Readonly<Record<string, string | undefined>>): Promise<string>;
  /** Names the last commit. */
  tag(name: string): Promise<void>;
}

/** Without the settings of the machine, such as signing or a template of hooks. */
const environment: NodeJS.ProcessEnv = {
  ...process.env,
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.com',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.com',
};

/** A repository whose first commit has `folders` of the folder `from`. */
export async function createRepository(from: string, folders: readonly string[]): Promise<GitRepository> {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-repository-'));
  const git = async (...args: readonly string[]): Promise<string> =>
    (await run('git', args, { cwd: folder, env: environment })).stdout.trim();
  const commit: GitRepository['commit'] = async (files) => {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await (text === undefined ? rm(path) : writeFile(path, text));
    }
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', `change ${Object.keys(files).join(', ')}`);
    return git('rev-parse', 'HEAD');
  };
  await git('init', '--quiet', '--initial-branch=main');
  for (const one of folders) await cp(join(from, one), join(folder, one), { recursive: true });
  await commit({});
  return {
    url: `file://${folder}`,
    commit,
    tag: async (name) => void (await git('tag', name)),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** @throws when git is not installed */
export async function demandGit(): Promise<void> {
  await run('git', ['--version']).catch(() => fail('git is not installed'));
}
