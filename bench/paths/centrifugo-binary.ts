/** Finds a Centrifugo, or builds one into the project's cache by `go install`, as tests do with nats-server. */

import { join } from 'node:path';
import { go } from '../../test/kit/go-build.ts';
import { obtain, type Program } from '../../test/kit/program.ts';
import { placeInPath, placeNamedBy, run } from '../../test/kit/program-sources.ts';

/** What is built; it needs Go 1.26, or an older one that may fetch a newer by itself. */
const pinnedVersion = '6.9.1';
const module = 'github.com/centrifugal/centrifugo/v6';

const program: Program = {
  name: 'centrifugo',
  wanted: `Centrifugo (CENTRIFUGO, PATH, or Go to build ${pinnedVersion})`,
  check: async (path) => void (await centrifugoVersion(path)),
  places: [placeNamedBy('CENTRIFUGO'), placeInPath('centrifugo')],
  installers: [['go install', installWithGo]],
};

/** Path of a usable binary. @throws Error that says what was tried and why it failed */
export function findCentrifugo(): Promise<string> {
  return obtain(program);
}

/** Such as `Centrifugo v6.9.1`. */
export async function centrifugoVersion(path: string): Promise<string> {
  const { stdout } = await run(path, ['version']);
  return stdout.split(' (')[0]?.trim() ?? stdout;
}

async function installWithGo(folder: string): Promise<string> {
  // The release sets its version in this way, too.
  const flags = `-ldflags=-s -w -X ${module}/internal/build.Version=${pinnedVersion}`;
  await go(folder, 'go install centrifugo (some minutes, once)', 'install', flags, `${module}@v${pinnedVersion}`);
  return join(folder, 'centrifugo');
}
