/** Dead letters as `hydrogen dlq` prints them. */

import { escapeControls } from '../process/logger.ts';
import type { DeadLetter } from '../runtime/bus/port/dead-letters.ts';
import type { LetterFacts } from './dlq-selection.ts';
import { columns, printable } from './output.ts';

/** JSON on one line, or with this indentation, without characters that a terminal would obey. */
export function printableJson(value: unknown, indentation?: number): string {
  return escapeControls(JSON.stringify(value, undefined, indentation));
}

/** One letter as an object for JSON, without its body. */
export function letterSummary(letter: LetterFacts): object {
  const { sequence, id, connectionId, endpoint, attempts, code, status, rule, detail, diedAtMs } = letter;
  const diedAt = new Date(diedAtMs).toISOString();
  return { sequence, diedAt, messageId: id, connectionId, endpoint, attempts, code, status, rule, detail };
}

/** The body as JSON if it is that, else as text. */
export function letterBody({ payload }: DeadLetter): unknown {
  const text = Buffer.from(payload).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function letterTable(letters: readonly LetterFacts[]): string {
  const rows = letters.map(({ sequence, diedAtMs, endpoint, rule, attempts, code, detail }) => [
    String(sequence),
    new Date(diedAtMs).toISOString(),
    printable(endpoint) || '-',
    printable(rule ?? '-'),
    String(attempts),
    code,
    printable(detail),
  ]);
  return columns([['SEQUENCE', 'DIED AT', 'ENDPOINT', 'RULE', 'ATTEMPTS', 'CODE', 'DETAIL'], ...rows]);
}
