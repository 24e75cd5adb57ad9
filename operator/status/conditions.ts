/**
 * From facts to conditions. Pure: the same facts, the same conditions; `lastTransitionTime` moves only when a status does.
 */
import type { Condition } from '../../crds/index.ts';
import type { Facts } from './facts.ts';
import { type Aspect, type Finding, findingsOf } from './findings.ts';

/** Reasons that only a person can help with. */
const stalling: readonly string[] = [
  'InvalidSpec',
  'NameConflict',
  'ApplyRefused',
  'ApplyForbidden',
  'StreamConflict',
  'StreamRefused',
  'ConsumersRefused',
  'RolloutStuck',
];

/** Reasons not to be Ready that nobody is working on, and nobody needs to. */
const restful: readonly string[] = ['ScaledToZero', 'SecretNotReadable', 'Paused'];

/** Longest message of a condition, in characters. */
const longestMessage = 4096;

/** The conditions of an object. @param now RFC 3339 with seconds @param previous those that it has */
export function conditionsOf(facts: Facts, previous: readonly Condition[], now: string): Condition[] {
  const findings = findingsOf(facts);
  const ready = readyOf(facts, findings);
  const all = [ready, ...findings, ...kstatus(ready, findings)];
  return all.map(({ type, status, reason, message }) => {
    const before = previous.find((condition) => condition.type === type);
    const text = message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message;
    return {
      type,
      status,
      reason,
      message: text,
      observedGeneration: facts.generation,
      lastTransitionTime: before?.status === status ? before.lastTransitionTime : now,
    };
  });
}

type Loose = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** The first aspect that is not as it should be, else that all is well. */
function readyOf({ deleting }: Facts, findings: readonly Finding[]): Loose {
  const type = 'Ready';
  if (deleting) return { type, status: 'False', reason: deleting.reason, message: deleting.message };
  const wanted: Partial<Record<Aspect, Condition['status']>> = {
    Accepted: 'True',
    GroupReady: 'True',
    BusReachable: 'True',
    Available: 'True',
    RollingOut: 'False',
  };
  const bad = findings.filter((finding) => (wanted[finding.type] ?? finding.status) !== finding.status);
  const worst =
    bad.find(({ reason }) => stalling.includes(reason)) ??
    // What is not there is not there because of the pause.
    bad.find(({ reason }) => reason === 'Paused') ??
    bad.find(({ status }) => status !== 'Unknown') ??
    bad[0];
  if (worst === undefined) return { type, status: 'True', reason: 'Ready', message: 'all is as it was asked for' };
  const status = worst.status === 'Unknown' ? 'Unknown' : 'False';
  return { type, status, reason: worst.reason, message: worst.message };
}

/** The pair that tools read which know nothing of us; each is there only while it is true. */
function kstatus(ready: Loose, findings: readonly Finding[]): Loose[] {
  if (ready.status === 'True') return [];
  const stuck = findings.find(({ reason }) => stalling.includes(reason));
  if (stuck !== undefined) return [{ type: 'Stalled', status: 'True', reason: stuck.reason, message: stuck.message }];
  if (restful.includes(ready.reason)) return [];
  return [{ type: 'Reconciling', status: 'True', reason: ready.reason, message: ready.message }];
}
