/** What need not be kept, and why: each excuse is a fault that the promises name. */

import { type ConnectionFacts, type MessageFacts, overlaps, type RunFacts } from './facts.ts';
import type { Faulted } from './history.ts';
import { type FaultKind, faultSpecs } from './plan.ts';

export type Excuse = 'connection lost' | 'removed by an administrator' | 'close under way';

/** Milliseconds that a client may take to see what has happened to its connection. */
export const noticeMs = 5_000;
/** Milliseconds that a gateway may take for a disconnect hook, its repetitions included. */
const hookMs = 30_000;
/** The codes that promise nothing: the connection broke, or the gateway says that it could not store everything. */
export const unpromisedCodes: readonly number[] = [1006, 1013];

/** Faults that can end a delivery or an attempt without a request that a destination sees. */
const burning: readonly FaultKind[] = [
  'killProcessor',
  'freezeProcessor',
  'destinationDies',
  'deleteConsumer',
  'deleteStream',
];

/** Why a message that was neither delivered nor dead-lettered need not have been; undefined when it had to be. */
export function excuseOf(facts: RunFacts, connection: ConnectionFacts, { sent }: MessageFacts): Excuse | undefined {
  const { closed, opened } = connection;
  if (closed !== undefined && unpromisedCodes.includes(closed.code)) return 'connection lost';
  const isRemoval = ({ fault }: Faulted): boolean => fault === 'deleteStream' || fault === 'deleteConsumer';
  if (facts.faults.some((one) => isRemoval(one) && one.atMs >= sent.atMs)) return 'removed by an administrator';
  if (closed === undefined) return undefined;
  const sinceMs = closingSinceMs(facts, connection);
  const isHarmed = facts.faults.some(
    (one) => harmsGateway(one, opened.gateway) && overlaps(one, sinceMs, closed.atMs + noticeMs),
  );
  return isHarmed && sent.atMs >= sinceMs ? 'close under way' : undefined;
}

/** True when the attempts of a delivery that is open during this fault can be more or fewer than its requests. */
export function burnsAttempts({ fault }: Faulted): boolean {
  const { on } = faultSpecs[fault];
  return burning.includes(fault) || on === 'nats' || on === 'link';
}

/**
 * True when the disconnect hook of this connection has not been answered with 2xx and had to be: a killed gateway calls
 * nothing, and one that stops does not try again.
 */
export function isHookMissing(facts: RunFacts, { opened, closed, hooks }: ConnectionFacts): boolean {
  if (closed === undefined || hooks.some(({ status }) => status < 300)) return false;
  const untilMs = closed.atMs + hookMs;
  if (wasSignalled(facts, 'SIGKILL', opened.gateway, opened.atMs, untilMs)) return false;
  return hooks.length === 0 || !wasSignalled(facts, 'SIGTERM', opened.gateway, opened.atMs, untilMs);
}

/** True when this gateway got this signal between these times. */
export function wasSignalled(
  { signals }: RunFacts,
  signal: 'SIGKILL' | 'SIGTERM',
  gateway: string,
  fromMs: number,
  toMs: number,
): boolean {
  return signals.some(
    (one) => one.process === gateway && one.signal === signal && one.atMs >= fromMs && one.atMs <= toMs,
  );
}

/** When the end of this connection began: somebody asked for it, or its gateway was stopped. */
function closingSinceMs({ signals }: RunFacts, { opened, closing, closed }: ConnectionFacts): number {
  const endMs = closed?.atMs ?? Number.POSITIVE_INFINITY;
  const stop = signals.find(({ process, atMs }) => process === opened.gateway && atMs >= opened.atMs && atMs <= endMs);
  return Math.min(closing?.atMs ?? endMs, stop?.atMs ?? endMs);
}

/** True for a fault of this gateway, of its connections to NATS, or of NATS. Stopping it in an orderly way is none. */
function harmsGateway({ fault, target }: Faulted, gateway: string): boolean {
  const { on } = faultSpecs[fault];
  return fault !== 'stopGateway' && (target === gateway || on === 'nats' || on === 'stream');
}
