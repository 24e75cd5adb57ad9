/**
 * Finds text that is nested deeper than any document may be, before it is parsed: the parser calls itself for each
 * level, and a hundred thousand of them take many seconds and end in an overflow of the stack.
 */
import { Lexer } from 'yaml';

/** Levels that a parser takes without trouble; what is over the limit of documents is reported after parsing. */
const maxLevels = 256;

/** @returns the line, from 1, at which the text becomes too deep; undefined when it does not */
export function findDeepNesting(text: string): number | undefined {
  let line = 1;
  let flowLevels = 0;
  /** Indicators of lists and keys since the line began, each of which can begin a level. */
  let blockLevels = 0;
  for (const token of new Lexer().lex(text)) {
    switch (token[0]) {
      case '[':
      case '{':
        flowLevels += 1;
        break;
      case ']':
      case '}':
        flowLevels -= 1;
        break;
      case '-':
      case '?':
      case ':':
        if (token.length === 1) blockLevels += 1;
        break;
    }
    const breaks = token.split('\n').length - 1;
    line += breaks;
    if (breaks > 0) blockLevels = 0;
    if (flowLevels > maxLevels || (flowLevels === 0 && blockLevels > maxLevels)) return line;
  }
  return undefined;
}
