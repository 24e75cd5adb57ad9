/**
 * A reporter that says after the last test what was skipped and why, since a line in the middle of a long run is not
 * read: `node --test --test-reporter=./test/kit/skipped.ts`. With TEST_SKIPPED set it appends a line of JSON for each to
 * that file instead, for a run of several parts.
 */
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** A test that was skipped. */
export interface SkippedTest {
  readonly file: string;
  readonly reason: string;
}

/** Says nothing when nothing was skipped. */
// biome-ignore lint/style/noDefaultExport: Node takes a reporter from nowhere else
export default async function* skippedReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skipped: SkippedTest[] = [];
  for await (const { type, data } of events) {
    if (type !== 'test:pass' || data.skip === undefined || data.skip === false) continue;
    const reason = typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'no reason given';
    skipped.push({ file: relative(process.cwd(), data.file ?? ''), reason });
  }
  const file = process.env.TEST_SKIPPED;
  if (file === undefined) yield* summary(skipped);
  else appendFileSync(file, skipped.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

/** The lines about these tests; none for none. */
export function* summary(skipped: readonly SkippedTest[]): Generator<string> {
  if (skipped.length === 0) return;
  yield `\nSKIPPED: ${skipped.length} ${skipped.length === 1 ? 'test' : 'tests'}\n`;
  for (const [reason, tests] of Map.groupBy(skipped, (one) => one.reason)) {
    const files = [...new Set(tests.map(({ file }) => file))];
    yield `  ${tests.length}: ${reason}\n${files.map((file) => `     ${file}\n`).join('')}`;
  }
}
