/**
 * Turns facts into conditions. Pure: the same facts give the same conditions. `lastTransitionTime` changes only when a
 * status does.
 */
import { aspects, isGood, type ReasonDefinition, type Summary } from '../../crds/conditions.ts';
import type { Condition } from '../../crds/index.ts';
import type { Facts } from './facts.ts';
import { type Finding, findingsOf } from './findings.ts';

/** Longest message of a condition, in characters. */
const longestMessage = 4096;

/** A condition without its times. */
type Statement = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/** The conditions of an object. @param previous its conditions so far @param now RFC 3339 with seconds */
export function conditionsOf(facts: Facts, previous: readonly Condition[], now: string): Condition[] {
  const findings = findingsOf(facts);
  return [...summariesOf(findings), ...findings].map(({ type, status, reason, message }) => {
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

/** Ready, and the two conditions that generic tools read, which are present only while they are True. */
function summariesOf(findings: readonly Finding[]): Statement[] {
  const worst = worstOf(findings);
  if (worst === undefined) return [summary('Ready', 'True', 'Ready', 'all conditions are as specified')];
  const ready = summary('Ready', worst.status === 'Unknown' ? 'Unknown' : 'False', worst.reason, worst.message);
  const stalled = findings.find(({ progress }) => progress === 'stalled');
  if (stalled !== undefined) return [ready, summary('Stalled', 'True', stalled.reason, stalled.message)];
  if (worst.progress === 'atRest') return [ready];
  return [ready, summary('Reconciling', 'True', worst.reason, worst.message)];
}

/** The finding that keeps the object from being Ready, if there is one. */
function worstOf(findings: readonly Finding[]): Finding | undefined {
  const bad = findings.filter((finding) => decidesReady(finding) && !isGood(finding));
  return (
    bad.find(({ type }) => type === 'Deleting') ??
    bad.find(({ progress }) => progress === 'stalled') ??
    // If anything else is missing, it is because of the pause.
    bad.find(({ reason }) => reason === 'Paused') ??
    bad.find(({ status }) => status !== 'Unknown') ??
    bad[0]
  );
}

function decidesReady({ type, reason }: Finding): boolean {
  const reasons: Readonly<Record<string, ReasonDefinition>> = aspects[type].reasons;
  return aspects[type].decidesReady && reasons[reason]?.decidesReady !== false;
}

function summary(type: Summary, status: Condition['status'], reason: string, message: string): Statement {
  return { type, status, reason, message };
}
