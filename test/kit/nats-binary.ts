/**
 * Finds a nats-server, or gets one into the project's cache without touching the system: from the Go module proxy, the
 * official release, or the distribution's package unpacked.
 */

import { join } from 'node:path';
import { go } from './go-build.ts';
import { obtain, type Program } from './program.ts';
import {
  demandVersion,
  downloadArchive,
  machine,
  placeInPath,
  placeNamedBy,
  run,
  unpackPackage,
} from './program-sources.ts';

/** What is built or downloaded. Building it needs Go 1.25, or an older one that may fetch a newer by itself. */
const pinnedVersion = 'v2.14.9';

const program: Program = {
  name: 'nats-server',
  wanted: 'nats-server >= 2.10',
  check: async (path) => demandVersion(path, (await run(path, ['--version'])).stdout, [2, 10]),
  places: [placeNamedBy('NATS_SERVER'), placeInPath('nats-server')],
  installers: [
    ['go install', installWithGo],
    ['release', installRelease],
    ['apt package', (folder) => unpackPackage('nats-server', 'nats-server', folder)],
  ],
};

/** Path of a usable nats-server. @throws Error that says what was tried and why it failed */
export function findNatsServer(): Promise<string> {
  return obtain(program);
}

async function installWithGo(folder: string): Promise<string> {
  const module = `github.com/nats-io/nats-server/v2@${pinnedVersion}`;
  await go(folder, `go install ${module} (a minute or two, once)`, 'install', module);
  return join(folder, 'nats-server');
}

function installRelease(folder: string): Promise<string> {
  const base = `https://github.com/nats-io/nats-server/releases/download/${pinnedVersion}`;
  const archive = `nats-server-${pinnedVersion}-${machine.os}-${machine.cpu}.tar.gz`;
  return downloadArchive(folder, 'nats-server', `${base}/${archive}`, `${base}/SHA256SUMS`);
}
