/** Gets every program that tests need before the first test runs, and says what it is waiting for. */

import { findActionlint } from './actionlint.ts';
import { findApiServerBinaries, oldestKubernetes } from './apiserver-binaries.ts';
import { findLua } from './lua.ts';
import { findNatsServer } from './nats-binary.ts';
import { say } from './program.ts';

const programs: readonly (readonly [string, () => Promise<string>])[] = [
  ['NATS server', findNatsServer],
  ['Lua', findLua],
  ['actionlint', findActionlint],
  ['Kubernetes', async () => (await findApiServerBinaries()).apiServer],
  [`Kubernetes ${oldestKubernetes}`, async () => (await findApiServerBinaries(oldestKubernetes)).apiServer],
];

for (const [name, find] of programs) {
  try {
    say(`${name}: ${await find()}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (process.env.CI) {
      say(`under CI no test is skipped, but there is no ${name}: ${reason}`);
      process.exit(1);
    }
    say(`there is no ${name}, so tests that need it will be skipped: ${reason}`);
  }
}
