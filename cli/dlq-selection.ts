/** Which dead letters a command is about: by number, all, or by rule, reason and age. */

import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DeadLetter, DeadLetters } from '../runtime/bus/port/dead-letters.ts';
import { HydrogenError } from '../runtime/errors.ts';

export interface FilterOptions {
  readonly rule?: string;
  readonly reason?: string;
  /** Milliseconds. */
  readonly olderThan?: number;
  /** Milliseconds. */
  readonly newerThan?: number;
}

export type LetterFilter = (letter: DeadLetter) => boolean;

export type Choice =
  /** In ascending order, each once. */
  | { readonly kind: 'numbered'; readonly sequences: readonly number[] }
  | { readonly kind: 'filtered'; readonly filter: LetterFilter }
  | { readonly kind: 'all' };

/** A dead letter without its body. */
export type LetterFacts = Omit<DeadLetter, 'payload'>;

const pageSize = 100;
const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Adds the options of `FilterOptions`. */
export function addFilters(command: Command): Command {
  return command
    .option('--rule <name>', 'only letters of this rule')
    .addOption(new Option('--reason <code>', 'only letters with this code, as in the list').argParser(reason))
    .addOption(
      new Option('--older-than <age>', 'only letters that died longer ago than this: 30s, 15m, 1h, 7d').argParser(age),
    )
    .addOption(
      new Option('--newer-than <age>', 'only letters that died within this time: 30s, 15m, 1h, 7d').argParser(age),
    );
}

/** @returns a sentence when no letter can match; undefined when there is no filter, so that every letter does */
export function filterOf(options: FilterOptions, nowMs: number): LetterFilter | string | undefined {
  const { rule, reason, olderThan, newerThan } = options;
  if (olderThan !== undefined && newerThan !== undefined && olderThan >= newerThan) {
    return 'no letter can match: --newer-than must be a longer time than --older-than';
  }
  if ([rule, reason, olderThan, newerThan].every((option) => option === undefined)) return undefined;
  return (letter) =>
    (rule === undefined || letter.rule === rule) &&
    (reason === undefined || letter.code === reason) &&
    (olderThan === undefined || letter.diedAtMs < nowMs - olderThan) &&
    (newerThan === undefined || letter.diedAtMs > nowMs - newerThan);
}

/** @returns a sentence when the arguments do not say which letters are meant */
export function choiceOf(
  sequences: readonly number[],
  options: FilterOptions & { readonly all?: boolean },
  nowMs: number,
): Choice | string {
  const filter = filterOf(options, nowMs);
  if (typeof filter === 'string') return filter;
  const choices: Choice[] = [];
  if (sequences.length > 0) {
    choices.push({ kind: 'numbered', sequences: [...new Set(sequences)].sort((a, b) => a - b) });
  }
  if (filter !== undefined) choices.push({ kind: 'filtered', filter });
  if (options.all === true) choices.push({ kind: 'all' });
  const [choice, ...others] = choices;
  if (choice !== undefined && others.length === 0) return choice;
  return 'choose letters in one way: by sequence number, with --all, or with --rule, --reason, --older-than, --newer-than';
}

/** The letters that are meant, oldest first. @throws {HydrogenError} HYD_DEAD_LETTER_MISSING for a number without one */
export async function chosenLetters(letters: DeadLetters, choice: Choice): Promise<LetterFacts[]> {
  if (choice.kind !== 'numbered') {
    return matchingLetters(letters, choice.kind === 'filtered' ? choice.filter : undefined);
  }
  const chosen: LetterFacts[] = [];
  for (const sequence of choice.sequences) {
    chosen.push(withoutBody((await letters.get(sequence)) ?? letterMissing(sequence)));
  }
  return chosen;
}

/** Oldest first. @param filter undefined: all match */
export async function matchingLetters(
  letters: DeadLetters,
  filter: LetterFilter | undefined,
  limit = Number.POSITIVE_INFINITY,
  afterSequence = 0,
): Promise<LetterFacts[]> {
  const found: LetterFacts[] = [];
  let last = afterSequence;
  while (found.length < limit) {
    const page = await letters.list(Math.min(pageSize, limit), last);
    const matches = filter === undefined ? page : page.filter(filter);
    found.push(...matches.slice(0, limit - found.length).map(withoutBody));
    const end = page.at(-1);
    if (end === undefined) break;
    last = end.sequence;
  }
  return found;
}

/** @throws {HydrogenError} HYD_DEAD_LETTER_MISSING */
export function letterMissing(sequence: number): never {
  throw new HydrogenError('HYD_DEAD_LETTER_MISSING', String(sequence));
}

function withoutBody({ payload: _, ...facts }: DeadLetter): LetterFacts {
  return facts;
}

function reason(text: string): string {
  if (!/^HYD_[A-Z_]+$/.test(text)) throw new InvalidArgumentError('expected a code such as HYD_DESTINATION_REJECTED');
  return text;
}

/** @returns milliseconds */
function age(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = unitsMs[unit];
  if (amount === undefined || unitMs === undefined) {
    throw new InvalidArgumentError('expected a number and s, m, h or d, such as 90s, 15m, 1h or 7d');
  }
  return Number(amount) * unitMs;
}
