/**
 * Decides which rule applies to a message: patterns are tried in order on the message's text, and the first one found
 * in it wins. Everything is compiled once; the payload is read only when a pattern needs its text, and at most once per
 * message.
 */

import { compilePattern, type MatchText } from '../../crds/text-pattern.ts';
import { HydrogenError } from '../errors.ts';
import { readMessageText } from './message-text.ts';

/** Index of the first rule that matches; otherwise why there is none: no match, or a payload without a text. */
export type RuleMatch = number | 'unmatched' | 'unreadable';

/** @throws {HydrogenError} HYD_CONFIG_INVALID naming the rule and what is wrong with its pattern */
export function compileRules(
  rules: readonly { readonly name: string; readonly pattern: string }[],
): (payload: Uint8Array) => RuleMatch {
  const patterns = rules.map(({ name, pattern }, index) => compile(pattern, placeOf(index, name)));
  return (payload) => {
    let text: string | undefined;
    for (let index = 0; index < patterns.length; index++) {
      const matches = patterns[index];
      if (matches === undefined) return index;
      text ??= readMessageText(payload);
      if (text === undefined) return 'unreadable';
      if (matches(text)) return index;
    }
    return 'unmatched';
  };
}

/** The name of a rule in error messages. */
export function placeOf(index: number, name: string): string {
  return `rule ${index + 1} (${name})`;
}

/** Undefined: the pattern matches every text. */
function compile(pattern: string, place: string): MatchText | undefined {
  try {
    return compilePattern(pattern);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const detail = `${place}: pattern ${JSON.stringify(pattern)}: ${cause.message}`;
    throw new HydrogenError('HYD_CONFIG_INVALID', detail, { cause });
  }
}
