/** Gets every program that tests need before the first test runs, and says what it is waiting for. */

import { findApiServerBinaries, oldestKubernetes } from './apiserver-binaries.ts';
import { findLua } from './lua.ts';
import { findNatsServer } from './nats-binary.ts';
import { fail, say } from './program.ts';

const programs: readonly (readonly [string, () => Promise<string>])[] = [
  ['NATS server', findNatsServer],
  ['Lua', findLua],
  ['Kubernetes', async () => (await findApiServerBinaries()).apiServer],
  [`Kubernetes ${oldestKubernetes}`, async () => (await findApiServerBinaries(oldestKubernetes)).apiServer],
];

for (const [name, find] of programs) {
  try {
    say(`${name}: ${await find()}`);
  } catch (error) {
    say(`${name}: none: ${error instanceof Error ? error.message : String(error)}`);
    // On a desk the tests that need it are skipped, and say so.
    if (process.env.CI) fail(`under CI no test is skipped, and ${name} could not be found, downloaded or built`);
  }
}
