/** The app behind `npm run synth` and `cdk8s synth`: writes `dist/`, regardless of the environment. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { bundles } from './bundles.ts';

const folder = join(import.meta.dirname, '../dist');
mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(bundles())) {
  writeFileSync(join(folder, name), text);
  console.log(`dist/${name}`);
}
