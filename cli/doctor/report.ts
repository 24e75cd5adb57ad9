/** How the doctor's findings are shown to a person. */

import { clearLine, cursorTo } from 'node:readline';
import type { WriteStream } from 'node:tty';
import { styleText } from 'node:util';

import { hasColours } from '../output.ts';
import { type Assessment, countByAssessment, type Diagnosis } from './diagnosis.ts';
import { beforePods } from './place.ts';

const looks = {
  ok: ['ok', 'green'],
  warning: ['warning', 'yellow'],
  problem: ['PROBLEM', 'red'],
  unchecked: ['not checked', 'cyan'],
} as const satisfies Record<Assessment, readonly [string, string]>;

const width = Math.max(...Object.values(looks).map(([word]) => word.length));

/** The findings by the objects that they concern, and a last line that sums them up. */
export function drawReport(source: string, diagnoses: readonly Diagnosis[]): string {
  const byObject = Map.groupBy(diagnoses, ({ objects }) => objects.join(', '));
  const parts = [...byObject].map(([objects, some]) => `${objects}\n${some.map(linesOf).join('')}`);
  const isOutside = diagnoses.some(({ cure = '' }) => cure.includes('kubectl') && cure.includes(' exec '));
  const advice = isOutside ? `${beforePods}\n` : '';
  return `${source}\n\n${parts.join('\n')}${parts.length > 0 ? '\n' : ''}${advice}${summaryOf(diagnoses)}\n`;
}

function linesOf({ health, subject, message, cure }: Diagnosis): string {
  const [word, colour] = looks[health];
  const padded = word.padEnd(width);
  const shown = hasColours(process.stdout) ? styleText(colour, padded, { validateStream: false }) : padded;
  const indent = ' '.repeat(width + 4);
  return `  ${shown}  ${subject}: ${message}\n${cure === undefined ? '' : `${indent}To do: ${cure}.\n`}`;
}

function summaryOf(diagnoses: readonly Diagnosis[]): string {
  if (diagnoses.length === 0) return 'There is nothing to look at.';
  const { ok, warning, problem, unchecked } = countByAssessment(diagnoses);
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`;
  return `${count(problem, 'problem')}, ${count(warning, 'warning')}, ${unchecked} not checked, ${ok} ok`;
}

/** One line on a terminal that says what is being examined; nothing elsewhere. */
export class ProgressLine {
  readonly #stream: WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream as WriteStream;
  }

  show(subject: string): void {
    if (!this.#stream.isTTY) return;
    this.clear();
    this.#stream.write(`examining ${subject}`.slice(0, (this.#stream.columns || 80) - 1));
  }

  clear(): void {
    if (!this.#stream.isTTY) return;
    clearLine(this.#stream, 0);
    cursorTo(this.#stream, 0);
  }
}
