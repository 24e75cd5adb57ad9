/** The table of conditions in docs/operator.md, out of crds/conditions.ts. `npm run reference` writes it. */
import { readFileSync, writeFileSync } from 'node:fs';

import { aspects, type Progress, type ReasonDefinition, summaries } from '../crds/conditions.ts';

/** Where the table is, from the root. */
export const conditionsPath = 'docs/operator.md';

const begin = '<!-- Written by `npm run reference`; edit crds/conditions.ts instead. -->';
const end = '<!-- The end of what is written. -->';

const sums: Readonly<Record<Progress, string>> = { stalled: '`Stalled`', atWork: '`Reconciling`', atRest: '' };

/** `page` with the table as crds/conditions.ts has it. @throws when the page has no place for it */
export function withConditions(page: string): string {
  const [before, rest] = page.split(`${begin}\n`);
  const [, after] = rest?.split(`${end}\n`) ?? [];
  if (before === undefined || after === undefined) throw new TypeError(`${conditionsPath} has no place for the table`);
  return `${before}${begin}\n\n${[...types(), '', ...reasons()].join('\n')}\n\n${end}\n${after}`;
}

function types(): string[] {
  const rows = Object.entries({ ...summaries, ...aspects }).map(
    ([type, { good, meaning }]) => `| \`${type}\` | ${meaning} | ${good} |`,
  );
  return ['| condition | True means | good |', '|---|---|---|', ...rows];
}

function reasons(): string[] {
  const rows = Object.entries(aspects).flatMap(([type, aspect]) =>
    Object.entries<ReasonDefinition>(aspect.reasons).map(([reason, { status, progress, meaning }], index) => {
      const first = index === 0 ? ` \`${type}\` ` : ' ';
      return `|${first}| \`${reason}\` | ${status} | ${sums[progress]} | ${meaning} |`.replaceAll('|  |', '| |');
    }),
  );
  return ['| condition | reason | status | and | what to do |', '|---|---|---|---|---|', ...rows];
}

/** Writes the table. */
export function writeConditions(root: URL): void {
  const path = new URL(conditionsPath, root);
  writeFileSync(path, withConditions(readFileSync(path, 'utf8')));
}
