/**
 * Regular expressions over client text, in linear time (re2js): no user's pattern and no client's message can stall the
 * process. A pattern matches when it is found anywhere in the text; `^` and `$` anchor it. Flags are written inside it,
 * for example `(?i)^hello`.
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
