/** Which test files need a Kubernetes control plane: those that import what finds one, directly or through the kit. */

import { globSync } from 'node:fs';

import { readGraph } from '../house/graph.ts';

const finder = 'test/kit/apiserver-binaries.ts';

export interface TestLanes {
  readonly withCluster: readonly string[];
  readonly withoutCluster: readonly string[];
}

/** Every test file, in one of both lanes. */
export function testLanes(): TestLanes {
  const { imports } = readGraph();
  const importers = Map.groupBy(imports, ({ target }) => target);
  const needing = new Set([finder]);
  // A set yields what is added while it is walked.
  for (const file of needing) for (const one of importers.get(file) ?? []) needing.add(one.file);
  const files = globSync('test/**/*.test.ts').toSorted();
  return {
    withCluster: files.filter((file) => needing.has(file)),
    withoutCluster: files.filter((file) => !needing.has(file)),
  };
}
