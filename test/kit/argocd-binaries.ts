/**
 * Finds the parts of Argo CD that apply what is in Git, or builds them into the project's cache from the modules in
 * `test/argocd/programs/`, with the definitions of the same version. Its release cannot be used: it is an image.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { go } from './go-build.ts';
import { binaryIn, environmentOf, packagedProgram } from './packaged-program.ts';
import { findInstalled, obtain, type Program } from './program.ts';
import { findIn, placeNamedBy, run } from './program-sources.ts';

/** Programs and files of a test. */
export interface ArgoCdBinaries {
  readonly controller: string;
  readonly repoServer: string;
  /** Folder with what the repo server runs: `kustomize` and a script of Argo CD's. */
  readonly folder: string;
  /** Definitions of Argo CD's custom resources. */
  readonly definitions: readonly string[];
  readonly redis: { readonly path: string; readonly env: NodeJS.ProcessEnv };
}

const module = 'github.com/argoproj/argo-cd/v3';
const names = ['argocd-application-controller', 'argocd-repo-server', 'argocd-git-ask-pass', 'kustomize'] as const;
const definitionFiles = ['application-crd.yaml', 'appproject-crd.yaml'] as const;
/** The repo server runs it before it reads a commit. */
const script = 'git-verify-wrapper.sh';
const sources = join(import.meta.dirname, '../argocd/programs');
const sourceFiles = ['main.go', 'go.mod', 'go.sum'];
const digest = createHash('sha256');
for (const name of sourceFiles) digest.update(readFileSync(join(sources, name)));

/** Of Argo CD, such as `3.5.7`: the one that is built. */
export const argoCdVersion = versionIn(readFileSync(join(sources, 'go.mod'), 'utf8'));

const program: Program = {
  // Binaries of other sources are another program.
  name: `argocd-${argoCdVersion}-${digest.digest('hex').slice(0, 12)}`,
  wanted: `Argo CD ${argoCdVersion} (${names.join(', ')})`,
  check: async (folder) => {
    for (const name of [...names, script, ...definitionFiles]) await findIn([folder], name);
    await run(join(folder, 'argocd-repo-server'), ['--help']);
  },
  places: [placeNamedBy('ARGOCD_ASSETS')],
  installers: [['go build', build]],
};

const redis = packagedProgram('redis-server', ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1']);

/** What is there already. @throws Error that says what is missing */
export async function findArgoCd(): Promise<ArgoCdBinaries> {
  return binariesIn(await findInstalled(program), await findInstalled(redis));
}

/** Gets what is not there, which takes a while. @throws Error that says what was tried and why it failed */
export async function obtainArgoCd(): Promise<ArgoCdBinaries> {
  return binariesIn(await obtain(program), await obtain(redis));
}

async function binariesIn(folder: string, redisRoot: string): Promise<ArgoCdBinaries> {
  return {
    controller: join(folder, 'argocd-application-controller'),
    repoServer: join(folder, 'argocd-repo-server'),
    folder,
    definitions: definitionFiles.map((name) => join(folder, name)),
    redis: { path: await binaryIn(redisRoot, 'redis-server'), env: environmentOf(redisRoot) },
  };
}

/** One binary, which answers to every name. */
async function build(folder: string): Promise<string> {
  for (const name of sourceFiles) await cp(join(sources, name), join(folder, name));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const flags = `-s -w -X ${module}/common.version=${argoCdVersion}`;
  const what = `go build of Argo CD ${argoCdVersion} (ten to twenty minutes on two cores, once)`;
  await go(folder, what, 'build', '-trimpath', '-ldflags', flags, '-o', join(bin, 'programs'), '.');
  for (const name of names) await symlink('programs', join(bin, name));
  const { stdout } = await run('go', ['list', '-m', '-f', '{{.Dir}}', module], { cwd: folder });
  const dir = stdout.trim();
  for (const name of definitionFiles) await cp(join(dir, 'manifests/crds', name), join(bin, name));
  await cp(join(dir, 'hack', script), join(bin, script));
  await chmod(join(bin, script), 0o755);
  return bin;
}

function versionIn(goMod: string): string {
  const found = new RegExp(`${module} v(\\S+)`).exec(goMod)?.[1];
  if (found === undefined) throw new Error(`go.mod does not name ${module}`);
  return found;
}
