/**
 * The short form of the fault run: two seeds, one for each ordering, each with half of the kinds of faults, so that a
 * short time has nearly all of its half. The long form is `npm run test:fault`.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { natsOrSkip } from '../kit/nats.ts';
import { knownWeak } from './soak/known-weak.ts';
import { behaviours, faultKinds, type Trouble } from './soak/plan.ts';
import { runSoak } from './soak/soak.ts';

const onLinux = process.platform === 'linux' ? false : 'reads /proc';
const skip = (await natsOrSkip()) || onLinux;
const durationMs = 18_000;
const halves = [
  [3, 'Unordered'],
  [2368, 'PerConnection'],
] as const;

for (const [half, [seed, ordering]] of halves.entries()) {
  test(`every promise is kept while processes, NATS, connections, destinations and documents fail (seed ${seed}, ${ordering})`, {
    skip,
    timeout: 300_000,
  }, async (t) => {
    const weak = knownWeak.map(([trouble]) => trouble);
    const kinds = faultKinds.filter((_, index) => index % halves.length === half);
    const troubles: readonly Trouble[] = [...kinds, ...behaviours].filter((one) => !weak.includes(one));
    const report = await runSoak({ seed, durationMs, troubles, onProgress: (line) => t.diagnostic(line) });
    const { counts, plan } = report;
    t.diagnostic(`${[...new Set(plan.faults.map(({ kind }) => kind))].join(', ')}; ${JSON.stringify(counts)}`);
    assert.deepEqual(report.failures, []);
    assert.deepEqual(report.violations, []);
    assert.ok(plan.faults.length >= 8, `${plan.faults.length} faults`);
    assert.ok((counts.delivered ?? 0) > 300, `${counts.delivered} delivered`);
  });
}
