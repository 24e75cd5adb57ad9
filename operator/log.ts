/**
 * Every line that the operator logs: one function per event, with a constant message and fixed keys. `info` is for
 * lifecycle, `warn` for degraded but working, `error` for what somebody must fix, `debug` for single objects. The
 * content of a secret is never logged.
 */
import type { Logger } from 'pino';

export type OperatorLog = ReturnType<typeof createOperatorLog>;

/** @param log the root of the process's log */
export function createOperatorLog(log: Logger) {
  return {
    started: (facts: { version: string; server: string; namespace: string; identity: string }) =>
      log.info(facts, 'started'),
    leading: () => log.info('leading: this operator acts from now on'),
    following: (facts: { holder: string }) => log.info(facts, 'another operator leads, this one waits'),
    leaseLost: () => log.error('lease lost, exiting so that another operator can act'),
    leaseFailed: (facts: { err: unknown }) => log.warn(facts, 'lease could not be read or renewed, will retry'),
    stopping: (facts: { signal: string }) => log.info(facts, 'stopping'),
    stopped: () => log.info('stopped'),

    ownImageUnknown: (facts: { err: unknown }) =>
      log.warn(facts, 'the image of this operator could not be read, will retry'),
    definitionsMissing: (facts: { resources: readonly string[] }) =>
      log.error(
        facts,
        'the definitions of custom resources are missing, this operator leads nobody until they are back',
      ),
    definitionsFound: () => log.info('the definitions of all custom resources are there'),
    watchFailed: (facts: { resource: string; delayMs: number; err: unknown }) =>
      log.warn(facts, 'list or watch failed, will retry'),
    secretsHidden: (facts: { err: unknown }) =>
      log.info(facts, 'no permission to watch or read secrets, references to them are not checked'),
    reconcileFailed: (facts: { object: string; delayMs: number; err: unknown }) =>
      log.warn(facts, 'reconcile failed, will retry'),
    statusFailed: (facts: { object: string; err: unknown }) =>
      log.warn(facts, 'the status of an object that cannot be reconciled could not be written'),
    applyRefused: (facts: { object: string; status: number; err: unknown }) =>
      log.error(facts, 'the API server refuses a child of this object'),
    consumersLeft: (facts: { processor: string; group: string }) =>
      log.warn(facts, 'the consumers of a deleted message processor were left behind, its group cannot be reached'),
    streamsLeft: (facts: { group: string }) =>
      log.warn(facts, 'the streams of a deleted group were left behind, its NATS is gone'),
    busEvent: (facts: { object: string; event: string; detail: string }) =>
      log[facts.event === 'connected' ? 'info' : 'warn'](facts, 'bus event'),
    eventFailed: (facts: { err: unknown }) => log.warn(facts, 'an event could not be recorded'),
    warned: (facts: { warning: string }) => log.warn(facts, 'the API server warns'),
    failed: (facts: { err: unknown }) => log.error(facts, 'unexpected failure'),

    applied: (facts: { object: string; written: readonly string[]; pruned: readonly string[] }) =>
      log.info(facts, 'children written'),
    reported: (facts: { object: string; changed: number }) => log.debug(facts, 'reconciled'),
  };
}
