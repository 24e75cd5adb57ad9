/** The keys by which services mark a request that they repeat. */

const pattern = /^[\x21-\x7e]{1,128}$/;

/** True for 1 to 128 visible characters of ASCII. */
export function isIdempotencyKey(text: string): boolean {
  return pattern.test(text);
}
