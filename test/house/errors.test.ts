import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { closeCodes } from '../../runtime/close.ts';
import { type ErrorEntry, errors } from '../../runtime/errors.ts';
import { sources } from './sources.ts';

const documented = new Map(
  [...readFileSync('docs/wire.md', 'utf8').matchAll(/^\| `(HYD_[A-Z0-9_]+)` \| (.*?) \| (.*) \|$/gm)].map((match) => [
    match[1] ?? '',
    { effect: match[2] ?? '', message: match[3] ?? '' },
  ]),
);

function effectOf({ http, close, delivery }: ErrorEntry): string {
  const effects = [
    ...(http === undefined ? [] : [`HTTP ${http}`]),
    ...(close === undefined ? [] : [`close ${close}`]),
    ...(delivery === undefined ? [] : [delivery === 'retry' ? 'retried' : 'dead-lettered']),
  ];
  return effects.join(', ') || 'reported';
}

test('docs/wire.md lists every error with what it does and its sentence, and no other', () => {
  assert.deepEqual([...documented.keys()].sort(), Object.keys(errors).sort());
  for (const [code, entry] of Object.entries(errors)) {
    assert.deepEqual(documented.get(code), { effect: effectOf(entry), message: entry.message }, code);
  }
});

test('every code of the table is used, and every used code is in the table', () => {
  const files = sources().filter(
    (path) => /^(process|runtime|cli|operator)\//.test(path) && path !== 'runtime/errors.ts',
  );
  const used = new Set(files.flatMap((path) => readFileSync(path, 'utf8').match(/HYD_[A-Z0-9_]+/g) ?? []));
  assert.deepEqual(
    [...used].filter((code) => !(code in errors)),
    [],
  );
  assert.deepEqual(
    Object.keys(errors).filter((code) => !used.has(code)),
    [],
  );
});

test('errors close with codes of close.ts', () => {
  const known = new Set<number>(Object.values(closeCodes));
  for (const [code, entry] of Object.entries(errors) as [string, ErrorEntry][]) {
    if (entry.close !== undefined) assert.ok(known.has(entry.close), code);
  }
});
