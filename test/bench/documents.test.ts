import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fairness } from '../../bench/paths/fairness.ts';
import { scenarios } from '../../bench/scenarios/catalogue.ts';
import { fairnessMarkdown } from '../../bench/tables.ts';

const page = readFileSync('docs/performance.md', 'utf8');

test('docs/performance.md has a place for each scenario under its title, and no other', () => {
  const places = [...page.matchAll(/^### (.+)\n(?:(?!^#|<!-- ).*\n)*<!-- bench:(\S+) -->\n/gm)];
  assert.deepEqual(
    places.map(([, title, name]) => [name, title]),
    scenarios.map(({ name, title }) => [name, title]),
  );
  assert.equal(page.match(/<!-- bench:\S+ -->/g)?.length, scenarios.length + 1);
  assert.equal(page.match(/<!-- \/bench -->/g)?.length, scenarios.length + 1);
});

test('docs/performance.md has the fairness notes; `npm run bench -- --markdown docs/performance.md` rewrites them', () => {
  assert.ok(page.includes(`<!-- bench:systems -->\n\n${fairnessMarkdown(fairness)}\n\n<!-- /bench -->`));
});

test('each system has a fairness note', () => {
  const products = new Set(scenarios.flatMap(({ systems }) => systems.map(({ product }) => product)));
  assert.deepEqual([...products].toSorted(), fairness.map(({ product }) => product).toSorted());
});
