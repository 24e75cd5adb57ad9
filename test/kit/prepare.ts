/**
 * Gets programs that tests need, and says what it is waiting for: `small` those that take a minute or two, `kubernetes` the
 * control planes, without an argument all of them.
 */

import { findActionlint } from './actionlint.ts';
import { findApiServerBinaries, oldestKubernetes } from './apiserver-binaries.ts';
import { findLua } from './lua.ts';
import { findNatsServer } from './nats-binary.ts';
import { say } from './program.ts';

type Wanted = readonly [name: string, find: () => Promise<string>];

const small: readonly Wanted[] = [
  ['NATS server', findNatsServer],
  ['Lua', findLua],
  ['actionlint', findActionlint],
];

const kubernetes: readonly Wanted[] = [
  ['Kubernetes', async () => (await findApiServerBinaries()).apiServer],
  [`Kubernetes ${oldestKubernetes}`, async () => (await findApiServerBinaries(oldestKubernetes)).apiServer],
];

const what = process.argv[2];

for (const [name, find] of [...(what === 'kubernetes' ? [] : small), ...(what === 'small' ? [] : kubernetes)]) {
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
