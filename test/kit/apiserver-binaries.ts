/**
 * Finds the programs of a Kubernetes control plane, or gets them into the project's cache: the official release, or else
 * a build of the modules in `test/cluster/programs/`. They are used as one set, so that their versions belong together.
 */

import { cp, mkdir, rename, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { go } from './go-build.ts';
import { fail, obtain, type Place, type Program } from './program.ts';
import { demandVersion, download, downloadArchive, findIn, machine, run } from './program-sources.ts';

/** Paths of the programs of a test cluster. */
export interface ApiServerBinaries {
  readonly etcd: string;
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly kubectl: string;
  /** Of etcd, such as `3.6.4`. */
  readonly etcdVersion: string;
  /** Of Kubernetes, such as `1.34.2`. */
  readonly version: string;
}

const names = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;

/** Advice for a person who has none of them. */
export const binariesAdvice = `install Go >= 1.26, or set KUBEBUILDER_ASSETS to a folder with ${names.join(', ')}`;

/** Releases to download or build, by minor version: the current one, and the oldest supported. */
const releases = {
  '1.37': { kubernetes: '1.37.2', etcd: '3.6.4' },
  '1.31': { kubernetes: '1.31.13', etcd: '3.5.15' },
} as const;

type Minor = keyof typeof releases;

const currentKubernetes: Minor = '1.37';

/** The oldest minor version that is supported. */
export const oldestKubernetes: Minor = '1.31';

/** Names the minor version, one of the table. Default: whatever is installed, or else the current one. */
const variable = 'TEST_KUBERNETES';

const modules = join(import.meta.dirname, '../cluster/programs');

/**
 * The programs of a test cluster.
 * @param wanted a minor version @throws Error that says what was tried and why it failed
 */
export async function findApiServerBinaries(wanted = process.env[variable]): Promise<ApiServerBinaries> {
  const folder = await obtain(programOf(wanted));
  const [etcd = '', apiServer = '', controllerManager = '', kubectl = ''] = names.map((name) => join(folder, name));
  const [etcdVersion, version] = [await versionOf(etcd), await versionOf(apiServer)];
  return { etcd, apiServer, controllerManager, kubectl, etcdVersion, version };
}

function programOf(wanted: string | undefined): Program {
  const minor = wanted ?? currentKubernetes;
  if (!isKnown(minor)) fail(`${variable} is ${minor}; it can be ${Object.keys(releases).join(' or ')}`);
  return {
    name: `kubernetes-${minor}`,
    wanted: `control plane of Kubernetes ${wanted ?? `>= ${oldestKubernetes}`} (${names.join(', ')})`,
    check: async (folder) => {
      for (const name of names) await findIn([folder], name);
      demandVersion(join(folder, 'etcd'), await versionOf(join(folder, 'etcd')), [3, 5]);
      const version = await versionOf(join(folder, 'kube-apiserver'));
      if (wanted === undefined) demandVersion(folder, version, [1, 31]);
      else if (!version.startsWith(`${wanted}.`)) fail(`it is Kubernetes ${version}`);
    },
    places: [
      ['KUBEBUILDER_ASSETS', async () => process.env.KUBEBUILDER_ASSETS ?? fail('not set')],
      ...(process.env.PATH ?? '').split(delimiter).map<Place>((folder) => ['PATH', () => onlyIfWhole(folder)]),
    ],
    installers: [
      ['release', (folder) => downloadPrograms(folder, minor)],
      ['go build', (folder) => buildPrograms(folder, minor)],
    ],
  };
}

/** Most folders of PATH have none of them: one message for all of those. */
async function onlyIfWhole(folder: string): Promise<string> {
  for (const name of names) await findIn([folder], name).catch(() => fail('not in one folder of it'));
  return folder;
}

async function versionOf(path: string): Promise<string> {
  const { stdout } = await run(path, ['--version']);
  return /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? fail(`${path} does not print its version`);
}

async function downloadPrograms(folder: string, minor: Minor): Promise<string> {
  const { kubernetes, etcd } = releases[minor];
  const bin = join(folder, 'bin');
  await mkdir(bin);
  for (const name of names.filter((one) => one !== 'etcd')) {
    const url = `https://dl.k8s.io/v${kubernetes}/bin/${machine.os}/${machine.cpu}/${name}`;
    await rename(await download(folder, url, `${url}.sha256`), join(bin, name));
    await run('chmod', ['755', join(bin, name)]);
  }
  const base = `https://github.com/etcd-io/etcd/releases/download/v${etcd}`;
  const archive = `etcd-v${etcd}-${machine.os}-${machine.cpu}.tar.gz`;
  await rename(await downloadArchive(folder, 'etcd', `${base}/${archive}`, `${base}/SHA256SUMS`), join(bin, 'etcd'));
  return bin;
}

/** One binary, which answers to four names. */
async function buildPrograms(folder: string, minor: Minor): Promise<string> {
  const { kubernetes } = releases[minor];
  await cp(join(modules, minor), folder, { recursive: true });
  await cp(join(modules, 'main.go'), join(folder, 'main.go'));
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const [major, minorNumber] = minor.split('.');
  const values = { gitVersion: `v${kubernetes}`, gitMajor: major, gitMinor: minorNumber };
  const stamps = Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  await go(
    folder,
    `go build of Kubernetes ${kubernetes} and its etcd (20 minutes of CPU, once)`,
    'build',
    '-trimpath',
    '-ldflags',
    `-s -w ${stamps.join(' ')}`,
    '-o',
    join(bin, 'programs'),
    '.',
  );
  for (const name of names) await symlink('programs', join(bin, name));
  return bin;
}

function isKnown(minor: string): minor is Minor {
  return minor in releases;
}
