import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { ownRules, secretRules, watchRules } from '../../infra/operator-rbac.ts';
import { createOperatorMetrics } from '../../operator/metrics.ts';
import { withConditions } from '../../tools/conditions.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/operator.md');

test('docs/operator.md has the conditions of crds/conditions.ts; `npm run reference` writes them', () => {
  assert.equal(page, withConditions(page));
  assert.match(page, /^\| \| `InvalidSpec` \| False \| `Stalled` \| correct the fields/m);
});

test('docs/operator.md lists every metric of ours and no other', () => {
  const { registry } = createOperatorMetrics({
    queueDepth: () => 0,
    isLeading: () => false,
    rollouts: () => ({ running: 0, waiting: 0, holders: [] }),
  });
  const registered = registry.getMetricsAsArray().map(({ name }) => name);
  const documented = [...page.matchAll(/^\| `(hydrogen_\w+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented.sort(), registered.filter((name) => name.startsWith('hydrogen_')).sort());
});

test('docs/operator.md explains every log line', () => {
  const messages = [...read('operator/log.ts').matchAll(/'([a-z][^'\n]+)'\)/g)].map((match) => match[1] ?? '');
  assert.ok(messages.length >= 15, `${messages.length} messages`);
  const table = page.slice(page.indexOf('## What the log says'));
  for (const message of messages) assert.ok(table.includes(message), message);
});

test('docs/permissions.md lists every right of the operator, with its verbs, and no other', () => {
  const text = read('docs/permissions.md');
  const table = text.slice(text.indexOf('## What the operator may do'), text.indexOf('### Secrets'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const documented = rows.flatMap((row) => {
    const [, resources = '', verbs = ''] = row.split('|');
    const names = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
    return names(resources).flatMap((resource) => names(verbs).map((verb) => `${verb} ${resource}`));
  });
  const granted = [...watchRules, ...secretRules, ...ownRules].flatMap(({ resources = [], verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)),
  );
  assert.deepEqual(documented.sort(), granted.sort());
});
