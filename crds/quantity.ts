/** Parses Kubernetes quantities as numbers of bytes. */
import { grammars } from './grammar.ts';

const factors: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * The bytes that `quantity` (`4Gi`, `1.5M`, `2e6`, `1024`) stands for; a fraction of a byte is rounded up.
 * @throws RangeError if it is not a quantity.
 */
export function parseQuantity(quantity: number | string): number {
  const text = String(quantity);
  if (!new RegExp(grammars.quantity.pattern).test(text)) {
    throw new RangeError(`${JSON.stringify(quantity)} is not ${grammars.quantity.words}`);
  }
  const [, digits = '', suffix = ''] = /^([0-9.]+)(.*)$/.exec(text) ?? [];
  const isExponent = /^[eE][0-9]/.test(suffix);
  const bytes = isExponent ? Number(text) : Number(digits) * (factors[suffix] ?? Number.NaN);
  return Math.ceil(Number(bytes.toPrecision(15)));
}
