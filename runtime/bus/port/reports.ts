/**
 * Reports say which configuration a pod runs, and which one it has refused. A pod publishes one whenever that changes,
 * whenever it connects, and when the operator asks everybody. They are core NATS messages: nothing is stored.
 */

import { Buffer } from 'node:buffer';

/** The kinds whose pods report. */
const kinds = ['HydrogenGateway', 'HydrogenMessageProcessor'] as const;

/** A configuration that a pod does not take over. */
export interface ConfigRefusal {
  /** Digest of the configuration's text. */
  readonly digest: string;
  /** Why, as in the pod's log. At most 1000 characters. */
  readonly problem: string;
}

/** A destination for which a message has waited in a pod for half a minute. */
export interface DestinationBacklogReport {
  /** The rule, or under a rules engine the origin of the URL. At most 300 characters. */
  readonly destination: string;
  /** Messages that wait for it in this pod. */
  readonly messages: number;
  /** When the oldest of them was stored, in milliseconds since the epoch. */
  readonly oldestMs: number;
  /** Since when its circuit has not been closed, in milliseconds since the epoch; absent while it is closed. */
  readonly failingSinceMs?: number | undefined;
}

/** What one pod says. */
export interface PodReport {
  readonly kind: (typeof kinds)[number];
  /** Name of the gateway or message processor. */
  readonly name: string;
  /** Name of the pod. */
  readonly pod: string;
  /** Digest of the text of the configuration that is completely in force. */
  readonly digest: string;
  /** The latest configuration, if it was refused. */
  readonly refused?: ConfigRefusal | undefined;
  /** How many client messages the entries that it has read held on average, 1 to 256; absent while it has read none. */
  readonly messagesPerEntry?: number | undefined;
  /** Of a message processor, the largest first; absent: none. At most `maxBacklogReports`. */
  readonly backlogs?: readonly DestinationBacklogReport[] | undefined;
  /** True once the pod stops: nothing is to be expected of it any more. */
  readonly isLeaving?: boolean | undefined;
}

/** Where the bus gets this process's report from. */
export interface ReportSource {
  readonly current: PodReport;
  /** Calls the listener after each change. */
  onChange(listener: () => void): void;
}

export const maxBacklogReports = 8;

const longestReport = 8192;
const mostPerEntry = 256;
const longestProblem = 1000;
const longestDestination = 300;
/** The last millisecond of a `Date`. */
const maxDateMs = 8.64e15;
const namePattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const digestPattern = /^[\w-]{1,64}$/;

export function encodeReport({ refused, ...report }: PodReport): Uint8Array {
  const said = refused && { ...refused, problem: refused.problem.slice(0, longestProblem) };
  return Buffer.from(JSON.stringify({ ...report, refused: said }));
}

/** Undefined when it is not a report: others may publish to the subject. The text of a problem has one line. */
export function decodeReport(payload: Uint8Array): PodReport | undefined {
  if (payload.byteLength > longestReport) return undefined;
  const { kind, name, pod, digest, refused, messagesPerEntry, backlogs, isLeaving } = fieldsOf(payload);
  const known = kinds.find((one) => one === kind);
  if (known === undefined || !isText(name, namePattern) || !isText(pod, namePattern)) return undefined;
  if (!isText(digest, digestPattern)) return undefined;
  const said = refusalIn(refused);
  const waits = backlogsIn(backlogs);
  return {
    kind: known,
    name,
    pod,
    digest,
    ...(said && { refused: said }),
    ...(isMean(messagesPerEntry) && { messagesPerEntry }),
    ...(waits.length > 0 && { backlogs: waits }),
    ...(isLeaving === true && { isLeaving }),
  };
}

function refusalIn(value: unknown): ConfigRefusal | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { digest, problem } = value as Readonly<Record<string, unknown>>;
  if (!isText(digest, digestPattern) || typeof problem !== 'string') return undefined;
  return { digest, problem: problem.replaceAll(/[\p{Cc}\s]+/gu, ' ').slice(0, longestProblem) };
}

/** Those that can be understood. */
function backlogsIn(value: unknown): DestinationBacklogReport[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, maxBacklogReports).flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null) return [];
    const { destination, messages, oldestMs, failingSinceMs } = one as Readonly<Record<string, unknown>>;
    if (typeof destination !== 'string' || destination === '' || destination.length > longestDestination) return [];
    if (!Number.isSafeInteger(messages) || (messages as number) < 1 || !isTime(oldestMs)) return [];
    const text = destination.replaceAll(/[\p{Cc}\s]+/gu, ' ');
    const since = isTime(failingSinceMs) ? { failingSinceMs } : {};
    return [{ destination: text, messages: messages as number, oldestMs, ...since }];
  });
}

function fieldsOf(payload: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString());
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= maxDateMs;
}

function isMean(value: unknown): value is number {
  return typeof value === 'number' && value >= 1 && value <= mostPerEntry;
}

function isText(value: unknown, pattern: RegExp): value is string {
  return typeof value === 'string' && pattern.test(value);
}
