/** Dead letters as `hydrogen dlq` prints them. */

import { escapeControls } from '../process/logger.ts';
import type { DeadLetter } from '../runtime/bus/port/dead-letters.ts';
import type { LetterFacts } from './dlq-selection.ts';

/** JSON on one line, or with this indentation, without characters that a terminal would obey. */
export function printableJson(value: unknown, indentation?: number): string {
  return escapeControls(JSON.stringify(value, undefined, indentation));
}

/** The text with control characters as escapes of JSON. */
function printable(text: string): string {
  return /\p{Cc}/u.test(text) ? printableJson(text).slice(1, -1) : text;
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
  const header = ['SEQUENCE', 'DIED AT', 'ENDPOINT', 'RULE', 'ATTEMPTS', 'CODE', 'DETAIL'];
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
