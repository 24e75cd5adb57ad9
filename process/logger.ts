/** The root of a process's log: JSON, one line per event, with the level as a word and the time in ISO 8601. */

import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LoggerOptions {
  /** Default: `info`. */
  readonly level?: LogLevel;
  /** Where lines go; default: standard output. */
  readonly destination?: DestinationStream;
}

/**
 * The text with DEL and the C1 control characters as escapes of JSON, which escapes only those below U+0020: a terminal
 * would obey them, and strangers choose what is in a path or a close reason.
 */
export function escapeControls(text: string): string {
  return text.replace(/[\u007f-\u009f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

export function createLogger({ level = 'info', destination }: LoggerOptions = {}): Logger {
  const settings = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    hooks: { streamWrite: escapeControls },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(settings) : pino(settings, destination);
}
