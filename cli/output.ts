/** What commands write: results to stdout, what they wait for to stderr, colours only for people. */
import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';
import { stringify } from 'yaml';
import { escapeControls } from '../process/logger.ts';

/** Silence after which a command says what it waits for. */
const silenceMs = 1_000;

/** The formats of results for programs. */
export const formats = ['json', 'yaml'] as const;
export type Format = (typeof formats)[number];

/** Writes all of it. A reader that stops early, such as `head`, is not a failure; a full disk ends the process with 1. */
export function print(text: string): void {
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    console.error(`hydrogen: the output could not be written: ${error.message}`);
    process.exit(1);
  });
  process.stdout.write(text);
}

/** A value for programs. */
export function formatted(value: unknown, format: Format): string {
  return format === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : stringify(value, { lineWidth: 0 });
}

/** The text with control characters as escapes of JSON, which no terminal obeys. */
export function printable(text: string): string {
  return /\p{Cc}/u.test(text) ? escapeControls(JSON.stringify(text)).slice(1, -1) : text;
}

/** Rows in columns of equal width, one a line, without a line break at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) => {
    return rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0);
  });
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => line(row).trimEnd()).join('\n');
}

/** Whether a stream shows colours: it is a terminal, and neither NO_COLOR nor TERM=dumb is set. */
export function hasColours(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (stream as WriteStream).hasColors();
}

/** `text` in green or red, for a person. */
export function judged(text: string, isGood: boolean): string {
  return hasColours(process.stdout) ? styleText(isGood ? 'green' : 'red', text, { validateStream: false }) : text;
}

/** The result of `work`; says on stderr what it waits for when that takes more than a second. */
export async function whileWaiting<T>(what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => console.error(`waiting for ${what}`), silenceMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
