import assert from 'node:assert/strict';
import test from 'node:test';

import { parseQuantity } from '../../crds/index.ts';

const bytes: readonly [number | string, number][] = [
  [0, 0],
  [1024, 1024],
  ['1024', 1024],
  ['1Ki', 1024],
  ['256Mi', 268435456],
  ['4Gi', 4294967296],
  ['1.5Gi', 1610612736],
  ['2Ti', 2199023255552],
  ['1k', 1000],
  ['1.1k', 1100],
  ['4.35M', 4350000],
  ['3G', 3000000000],
  ['1T', 1000000000000],
  ['2e6', 2000000],
  ['2E3', 2000],
  ['1E', 1e18],
  ['1500m', 2],
];

for (const [quantity, expected] of bytes) {
  test(`reads ${quantity} as ${expected} bytes`, () => assert.equal(parseQuantity(quantity), expected));
}

for (const quantity of ['', 'Gi', '1GB', '1 Gi', '-1', '1K', '.5', '0x10', '1e', 'Infinity', Number.NaN, -1]) {
  test(`refuses ${JSON.stringify(quantity)}`, () => assert.throws(() => parseQuantity(quantity), RangeError));
}
