/** The names of users, and what they may be: 1 to 128 bytes of UTF-8, compared byte by byte. */

const maxNameBytes = 128;

/** Why `name` can be no name, as the rest of a sentence about it; undefined if it can. */
export function nameProblem(name: unknown): string | undefined {
  if (typeof name !== 'string') return 'is not a string';
  if (!name.isWellFormed()) return 'is not UTF-8';
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) return 'is empty';
  if (bytes > maxNameBytes) return `has ${bytes} bytes, at most ${maxNameBytes} are allowed`;
  if (name === '.' || name === '..') return 'must not be . or ..';
  return /\p{Cc}/u.test(name) ? 'contains a control character' : undefined;
}
