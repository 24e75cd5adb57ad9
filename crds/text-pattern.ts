/**
 * Regular expressions over client text, in linear time (re2js). A pattern matches when it is found anywhere in the text;
 * `^` and `$` anchor it. Flags are written inside it, for example `(?i)^hello`.
 *
 * What a message can cost is bounded: the time is at most the size of the compiled patterns times the length of the
 * message, and `patternCostRule` bounds the size. With the largest patterns, the slowest texts that were found take 0.7
 * seconds for a message of 256 KiB (limits.maxMessageBytes by default); usual patterns take microseconds.
 *
 * `parse` compiles every pattern with it, and pods match with what it returns: what one accepts, the other runs.
 *
 * Plain ASCII literals and patterns that match everything are decided without the engine. The set is kept small enough
 * to be evidently equivalent, and a test compares it with re2js on random text.
 */

import { RE2JS, RE2JSException } from 're2js';

import { type CrossFieldRule, rule } from './rules.ts';

/** True when the pattern is found in the text. */
export type MatchText = (text: string) => boolean;

/** Matches the empty string at the beginning or end of every text, whatever it contains. */
const matchingAll: ReadonlySet<string> = new Set(['', '.*', '^', '^.*', '$', '.*$']);

/** ASCII that stands for itself outside of classes, or escaped punctuation: an optional `^`, the literal, an optional `$`. */
const literal = /^(\^?)((?:[A-Za-z0-9 !"#%&',/:;<=>@_`~-]|\\[!-/:-@[-`{-~])+)(\$?)$/;

/**
 * Compiles once.
 * @returns undefined for a pattern that matches every text, so that the caller need not read one
 * @throws {SyntaxError} with the reason and the offending part of the pattern
 */
export function compilePattern(pattern: string): MatchText | undefined {
  if (matchingAll.has(pattern)) return undefined;
  const plain = literal.exec(pattern);
  if (plain === null) return compileWithEngine(pattern);
  const [, start, escaped = '', end] = plain;
  const part = escaped.replace(/\\(.)/g, '$1');
  if (start && end) return (text) => text === part;
  if (start) return (text) => text.startsWith(part);
  if (end) return (text) => text.endsWith(part);
  return (text) => text.includes(part);
}

function compileWithEngine(pattern: string): MatchText {
  try {
    const compiled = RE2JS.compile(pattern);
    return (text) => compiled.test(text);
  } catch (cause) {
    if (!(cause instanceof RE2JSException)) throw cause;
    throw new SyntaxError(cause.message.replace(/^error parsing regexp: /, ''), { cause });
  }
}

/** Instructions that the patterns of a processor may have together. */
const maxInstructions = 2_000;

/**
 * How many steps a pattern takes per character of a message, at worst: the instructions of its compiled form. 0 for
 * patterns that are decided without the engine, and for what does not compile.
 */
export function patternCost(pattern: string): number {
  if (matchingAll.has(pattern) || literal.test(pattern)) return 0;
  try {
    return RE2JS.compile(pattern).programSize();
  } catch (error) {
    if (error instanceof RE2JSException) return 0;
    throw error;
  }
}

/** The rule that the entries at `path` do not have patterns with which a message could hold up a pod. */
export function patternCostRule(path: string): CrossFieldRule {
  return rule<readonly { readonly pattern: string }[]>({
    path,
    // CEL has no way to ask: the API server takes what the operator and the pods refuse.
    rule: 'true',
    message: `must not have patterns of more than ${maxInstructions} instructions together; shorten their repetitions`,
    check: (self) => {
      const cost = self.reduce((sum, { pattern }) => sum + patternCost(pattern), 0);
      return cost <= maxInstructions || `they have ${cost}`;
    },
  });
}

/** The rule that the string at `path` is a pattern that compiles. */
export function textPatternRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    // An expression that does not compile is an error of the rule, with the reason in its message.
    rule: "''.matches(self) in [true, false]",
    message: 'must be a regular expression in RE2 syntax',
    check: (self) => {
      try {
        compilePattern(self);
        return true;
      } catch (error) {
        if (error instanceof SyntaxError) return error.message;
        throw error;
      }
    },
  });
}
