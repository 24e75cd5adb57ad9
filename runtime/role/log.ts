/**
 * Every line that a gateway or message processor logs: one function per event, a constant message, fixed keys.
 * `info` is lifecycle, `warn` degraded but working, `error` needs a person, `debug` is per message. Never payloads,
 * tokens or header values. The full list with what to do about each line is in docs/operations.md.
 */

import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';
export type Log = ReturnType<typeof createLog>;

export interface LogOptions {
  readonly level?: LogLevel;
  /** Where lines go; default: standard output, JSON, one line each. */
  readonly destination?: DestinationStream;
}

/** The root of a process's log. */
export function createLogger(options: LogOptions = {}): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}

/** @param bindings on every line: `gateway` or `processor`, `group`, `instanceId`. */
export function createLog(root: Logger, bindings: Readonly<Record<string, string>>) {
  const log = root.child(bindings);
  return {
    started: (facts: { version: string; ports?: Record<string, number> }) => log.info(facts, 'started'),
    ready: () => log.info('ready'),
    notReady: (facts: { reason: string }) => log.warn(facts, 'not ready'),
    stopping: (facts: { signal: string; connections?: number; periodSeconds?: number }) => log.info(facts, 'stopping'),
    stopped: (facts: { unsavedMessages?: number; unfinishedHooks?: number; durationMs: number }) =>
      log.info(facts, 'stopped'),
    messagesUnsaved: (facts: { unsavedMessages: number }) =>
      log.error(facts, 'stopped with client messages that the bus did not take'),
    failed: (err: unknown) => log.error({ err }, 'unexpected failure'),

    configTaken: () => log.info('configuration taken over'),
    configRefused: (facts: { problems: readonly string[] }) =>
      log.error(facts, 'new configuration refused, the old one stays in force'),
    configNeedsRestart: (facts: { fields: readonly string[] }) =>
      log.warn(facts, 'changed fields take effect after a restart'),
    secretUnreadable: (facts: { secret: string; key: string; err: unknown }) =>
      log.error(facts, 'a referenced secret cannot be read, its last value stays in use'),

    busUp: () => log.info('bus connected'),
    busDown: (facts: { err: unknown }) => log.warn(facts, 'bus unreachable, clients are not read from'),
    busEvent: ({ err, ...facts }: { event: string; detail: string; err?: unknown }) =>
      log[facts.event === 'connected' ? 'info' : 'warn'](err === undefined ? facts : { ...facts, err }, 'bus event'),
    busProblem: (facts: { code: string; err: unknown }) =>
      log.error(facts, 'the bus keeps messages from being delivered'),
    leaseLost: (facts: { connections: number }) =>
      log.error(facts, 'cut off from the bus for too long, every connection is closed'),
    pressure: (facts: { isPressed: boolean; unacknowledgedMessages: number; unacknowledgedBytes: number }) =>
      log.debug(facts, 'bus pressure'),

    upgradeRefused: (facts: {
      code: string;
      path: string;
      remoteAddress: string;
      durationMs: number;
      detail: string;
    }) => log.info(facts, 'upgrade refused'),
    connectionOpened: (facts: { connectionId: string; endpoint: string; remoteAddress: string }) =>
      log.debug(facts, 'connection opened'),
    connectionClosed: (facts: {
      connectionId: string;
      endpoint: string;
      closeCode: number;
      reason: string;
      by: string;
      code?: string | undefined;
      connectedSeconds: number;
    }) => log.debug(facts, 'connection closed'),
    messageRefused: (facts: { connectionId: string; endpoint: string; code: string }) =>
      log.info(facts, 'client message refused'),
    hookRetried: (facts: { hook: string; connectionId: string; attempt: number; detail: string }) =>
      log.warn(facts, 'hook failed, trying again'),
    hookGivenUp: (facts: { hook: string; connectionId: string; attempt: number; detail: string }) =>
      log.error(facts, 'hook given up'),
    peerUnreadable: (facts: { kind: string; bytes: number }) =>
      log.warn(facts, 'a message of another process of the group is in an unknown form'),

    consumed: (facts: DeliveryFacts) => log.debug(facts, 'message consumed'),
    retried: (facts: DeliveryFacts & FailureFacts & { delayMs: number }) =>
      log.warn(facts, 'delivery failed, trying again'),
    deadLettered: (facts: DeliveryFacts & FailureFacts) => log.error(facts, 'message dead-lettered'),
    dropped: (facts: DeliveryFacts) => log.warn(facts, 'message dropped, no rule matches'),
    replyLost: (facts: { connectionId: string; messageId: string; status: string }) =>
      log.info(facts, 'reply not written to the client'),

    statistics: (facts: Readonly<Record<string, number>>) => log.info(facts, 'statistics'),
  };
}

interface DeliveryFacts {
  readonly messageId: string;
  readonly connectionId: string;
  readonly endpoint: string;
  readonly route: string;
  readonly attempt: number;
  readonly durationMs: number;
}

interface FailureFacts {
  readonly code: string;
  readonly detail: string;
  readonly status?: number | undefined;
}
