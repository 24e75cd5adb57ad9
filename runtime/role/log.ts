/**
 * Every line that a gateway or message processor logs: one function per event, a constant message, fixed keys.
 * `info` is lifecycle, `warn` degraded but working, `error` needs a person, `debug` is per message. Never payloads,
 * tokens or header values. The full list with what to do about each line is in docs/operations.md.
 */

import type { Logger } from 'pino';
import type { ErrorCode } from '../errors.ts';
import type { DeliveryFacts, FailureFacts, ReplyOutcome, RetryFacts } from './events.ts';

/** Who did or tried what, and to whom. */
export interface ManagementFacts {
  readonly action: string;
  readonly target: string;
  /** Name of the caller's token; undefined: it needs none, or has no valid one. */
  readonly token: string | undefined;
  readonly remoteAddress: string;
  readonly status: number;
  readonly code: ErrorCode | undefined;
}

export type RoleLog = ReturnType<typeof createRoleLog>;

/** @param bindings on every line: `gateway` or `processor`, `group`, `instanceId`. */
export function createRoleLog(root: Logger, bindings: Readonly<Record<string, string>>) {
  const log = root.child(bindings);
  // One line per message, so its facts are not even rounded unless the line is written.
  const isDebug = log.isLevelEnabled('debug');
  return {
    started: (facts: { version: string; ports?: Record<string, number> }) => log.info(facts, 'started'),
    ready: () => log.info('ready'),
    notReady: (facts: { reason: string }) => log.warn(facts, 'not ready'),
    stopping: (facts: { signal: string; connections?: number; periodSeconds?: number }) => log.info(facts, 'stopping'),
    stopped: (facts: { unsavedMessages?: number; unfinishedHooks?: number; durationMs: number }) =>
      log.info(facts, 'stopped'),
    messagesUnsaved: (facts: { unsavedMessages: number }) =>
      log.error(facts, 'stopped with client messages that the bus did not store'),
    failed: (err: unknown) => log.error({ err }, 'unexpected failure'),

    configTaken: () => log.info('configuration applied'),
    configRefused: (facts: { problems: readonly string[] }) =>
      log.error(facts, 'new configuration is invalid, the old one stays in force'),
    configNeedsRestart: (facts: { fields: readonly string[] }) =>
      log.warn(facts, 'configuration change needs a restart'),
    secretUnreadable: (facts: { secret: string; key: string; err: unknown }) =>
      log.error(facts, 'secret cannot be read, its last value stays in use'),

    busUp: () => log.info('bus connected'),
    busDown: (facts: { err: unknown }) => log.warn(facts, 'bus unreachable'),
    busEvent: ({ err, ...facts }: { event: string; detail: string; err?: unknown }) =>
      log[facts.event === 'connected' ? 'info' : 'warn'](err === undefined ? facts : { ...facts, err }, 'bus event'),
    busProblem: (facts: { code: string; err: unknown }) => log.error(facts, 'bus problem, messages are not delivered'),
    leaseLost: (facts: { connections: number }) => log.error(facts, 'lease lost, closing every connection'),
    pressure: (facts: { isPressed: boolean; unacknowledgedMessages: number; unacknowledgedBytes: number }) =>
      log.debug(facts, 'bus pressure'),

    managementOpen: () => log.warn('management API needs no token, whoever reaches its port can call it'),
    managementAudit: (facts: ManagementFacts) => log.info(facts, 'management API call'),
    managementRefused: (facts: ManagementFacts & { count: number }) => log.warn(facts, 'management API call refused'),
    upgradeRefused: (facts: {
      code: string;
      path: string;
      remoteAddress: string;
      durationMs: number;
      detail: string;
    }) => log.info(facts, 'upgrade refused'),
    descriptorsExhausted: (facts: { count: number; connections: number }) =>
      log.error(facts, 'no file descriptors left for clients, new ones are cut'),
    memoryExhausted: (facts: { closed: number; keptBytes: number; maxBytes: number }) =>
      log.error(facts, 'too much memory for clients, the largest are closed'),
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
      log.warn(facts, 'hook failed, will retry'),
    hookGivenUp: (facts: { hook: string; connectionId: string; attempt: number; detail: string }) =>
      log.error(facts, 'hook given up'),
    keysUnavailable: (facts: { provider: string; detail: string }) =>
      log.warn(facts, 'keys of a token issuer cannot be fetched, the last ones stay in use'),
    peerUnreadable: (facts: { kind: string; bytes: number; count: number }) =>
      log.warn(facts, 'unreadable message from another process of the group'),

    consumed: (facts: DeliveryFacts) => {
      if (isDebug) log.debug(rounded(facts), 'message consumed');
    },
    retried: (facts: RetryFacts) => log.warn(rounded(facts), 'delivery failed, will retry'),
    deadLettered: (facts: FailureFacts) => log.error(rounded(facts), 'message dead-lettered'),
    dropped: (facts: DeliveryFacts) => log.warn(rounded(facts), 'message dropped, no rule matched'),
    destinationFailing: (facts: { destination: string }) => log.warn(facts, 'destination fails, its messages wait'),
    destinationRecovered: (facts: { destination: string }) => log.info(facts, 'destination answers again'),
    lanesLost: (facts: { lanes: number }) => log.warn(facts, 'lanes given up, their lease was not renewed in time'),
    lanesTakenOver: (facts: { lanes: number }) => log.warn(facts, 'lanes of a silent processor taken over'),
    replyLost: (facts: DeliveryFacts & { outcome: ReplyOutcome }) => log.info(rounded(facts), 'reply not sent'),

    statistics: (facts: Readonly<Record<string, number>>) => log.info(facts, 'statistics'),
  };
}

/** Milliseconds to one decimal. */
function rounded<Facts extends DeliveryFacts>(facts: Facts): Facts {
  return { ...facts, durationMs: Math.round(facts.durationMs * 10) / 10 };
}
