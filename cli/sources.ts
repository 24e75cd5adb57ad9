/** Texts that commands read: files, or standard input as `-`. */

import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';

import { HydrogenError } from '../runtime/errors.ts';

/** A text, and its name in messages. */
export interface TextSource {
  readonly text: string;
  readonly source: string;
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID when it cannot be read */
export async function readSource(file: string): Promise<TextSource> {
  if (file === '-') return { text: await readAll(process.stdin), source: 'stdin' };
  try {
    return { text: await readFile(file, 'utf8'), source: file };
  } catch (cause) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `${file}: ${(cause as Error).message}`, { cause });
  }
}
