/**
 * Finds etcd and a Kubernetes API server, or gets them into the project's cache. Two servers will do: kube-apiserver, and
 * apiextensions-apiserver, which knows custom resources and nothing else but builds in a few minutes out of one module.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail, obtain, type Place, type Program } from './program.ts';
import {
  demandVersion,
  download,
  downloadArchive,
  findIn,
  go,
  machine,
  placeInPath,
  run,
  unpackPackage,
} from './program-sources.ts';

/** The programs of a test cluster. */
export interface ApiServerBinaries {
  readonly etcd: string;
  readonly etcdVersion: string;
  readonly apiServer: string;
  /** Whether the server is a kube-apiserver and so knows pods, deployments and the like. */
  readonly isFull: boolean;
}

/** What is built or downloaded. */
const kubernetes = '34.10';
const etcdRelease = 'v3.6.4';

const full = 'kube-apiserver';
const small = 'apiextensions-apiserver';

const apiServer: Program = {
  name: small,
  wanted: `${full} >= 1.31 or ${small}`,
  check: async (path) => {
    if (await isFullServer(path)) demandVersion(path, await versionOf(path), [1, 31]);
    else await run(path, ['--help']);
  },
  places: [inAssets(full), placeInPath(full), placeInPath(small)],
  installers: [
    ['go install', installApiServer],
    ['release', downloadApiServer],
  ],
};

const etcd: Program = {
  name: 'etcd',
  wanted: 'etcd >= 3.4',
  check: async (path) => demandVersion(path, await versionOf(path), [3, 4]),
  places: [inAssets('etcd'), placeInPath('etcd')],
  installers: [
    ['apt package', (folder) => unpackPackage('etcd-server', 'etcd', folder)],
    ['go build', buildEtcd],
    ['release', downloadEtcd],
  ],
};

/** The binaries of a test cluster. @throws Error that says what was tried and why it failed */
export async function findApiServerBinaries(): Promise<ApiServerBinaries> {
  const etcdPath = await obtain(etcd);
  const [etcdVersion = ''] = /\d+\.\d+\.\d+/.exec(await versionOf(etcdPath)) ?? [];
  const path = await obtain(apiServer);
  return { etcd: etcdPath, etcdVersion, apiServer: path, isFull: await isFullServer(path) };
}

function inAssets(name: string): Place {
  const find = (): Promise<string> => findIn([process.env.KUBEBUILDER_ASSETS ?? fail('not set')], name);
  return ['KUBEBUILDER_ASSETS', find];
}

async function versionOf(path: string): Promise<string> {
  return (await run(path, ['--version'])).stdout;
}

// apiextensions-apiserver refuses the question.
async function isFullServer(path: string): Promise<boolean> {
  return versionOf(path).then(
    (text) => text.startsWith('Kubernetes'),
    () => false,
  );
}

async function installApiServer(folder: string): Promise<string> {
  const module = `k8s.io/${small}@v0.${kubernetes}`;
  const flags = ['-trimpath', '-ldflags', '-s -w'];
  await go(folder, `go install ${module} (three to eight minutes, once)`, 'install', ...flags, module);
  return join(folder, small);
}

function downloadApiServer(folder: string): Promise<string> {
  const url = `https://dl.k8s.io/v1.${kubernetes}/bin/${machine.os}/${machine.cpu}/${full}`;
  return download(folder, url, `${url}.sha256`);
}

// etcd's module replaces others, which `go install` refuses to follow; as a dependency it builds.
async function buildEtcd(folder: string): Promise<string> {
  const module = 'go.etcd.io/etcd/server/v3';
  await writeFile(join(folder, 'go.mod'), `module etcd\n\ngo 1.24\n\nrequire ${module} ${etcdRelease}\n`);
  await go(
    folder,
    `go build ${module}@${etcdRelease} (a few minutes, once)`,
    'build',
    '-mod=mod',
    '-o',
    'etcd',
    module,
  );
  return join(folder, 'etcd');
}

function downloadEtcd(folder: string): Promise<string> {
  const base = `https://github.com/etcd-io/etcd/releases/download/${etcdRelease}`;
  const archive = `etcd-${etcdRelease}-${machine.os}-${machine.cpu}.tar.gz`;
  return downloadArchive(folder, 'etcd', `${base}/${archive}`, `${base}/SHA256SUMS`);
}
