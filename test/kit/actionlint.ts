/** Finds actionlint, the public linter of GitHub workflows, or builds it into the project's cache from the Go module proxy. */
import { join } from 'node:path';

import { go } from './go-build.ts';
import { obtain, type Program } from './program.ts';
import { demandVersion, placeInPath, placeNamedBy, run } from './program-sources.ts';

/** What is built. */
const pinnedVersion = 'v1.7.12';

const program: Program = {
  name: 'actionlint',
  wanted: 'actionlint >= 1.7',
  check: async (path) => demandVersion(path, (await run(path, ['-version'])).stdout, [1, 7]),
  places: [placeNamedBy('ACTIONLINT'), placeInPath('actionlint')],
  installers: [['go install', installWithGo]],
};

/** Path of a usable actionlint. @throws Error that says what was tried and why it failed */
export function findActionlint(): Promise<string> {
  return obtain(program);
}

async function installWithGo(folder: string): Promise<string> {
  const module = `github.com/rhysd/actionlint/cmd/actionlint@${pinnedVersion}`;
  await go(folder, `go install ${module} (half a minute, once)`, 'install', module);
  return join(folder, 'actionlint');
}
