/**
 * Messages that wait for the destinations of one message processor. A message may wait for a moment, for its next attempt,
 * say; what counts is a waiting room that held something at two queries in a row, and what pods say has waited for long.
 */
import type { PodReport } from '../../runtime/bus/port/reports.ts';
import type { WaitingMessages } from '../status/facts.ts';

export class DestinationBacklog {
  #last: ReadonlyMap<string, number> = new Map();
  #waiting: ReadonlyMap<string, number> = new Map();

  /** The latest number of each room that held messages at the last two queries. */
  get waiting(): ReadonlyMap<string, number> {
    return this.#waiting;
  }

  /** @param found messages in each room that holds any. @returns true if `waiting` has changed */
  observe(found: ReadonlyMap<string, number>): boolean {
    const before = this.#waiting;
    const lasting = [...found].filter(([room, messages]) => messages > 0 && (this.#last.get(room) ?? 0) > 0);
    this.#last = found;
    this.#waiting = new Map(lasting);
    return before.size !== lasting.length || lasting.some(([room, messages]) => before.get(room) !== messages);
  }
}

/**
 * What waits for each destination, in its waiting room and in pods. Pods have a part of a room open as well, so the larger
 * number counts. @param pods undefined: they have not been asked yet
 */
export function waitingFor(
  rooms: ReadonlyMap<string, number>,
  pods: readonly Pick<PodReport, 'backlogs'>[] = [],
): ReadonlyMap<string, WaitingMessages> {
  const inPods = new Map<string, WaitingMessages>();
  for (const { destination, messages, oldestMs, failingSinceMs = Number.POSITIVE_INFINITY } of pods.flatMap(
    backlogsOf,
  )) {
    const known = inPods.get(destination);
    inPods.set(destination, {
      messages: messages + (known?.messages ?? 0),
      oldestMs: Math.min(oldestMs, known?.oldestMs ?? Number.POSITIVE_INFINITY),
      failingSinceMs: Math.min(failingSinceMs, known?.failingSinceMs ?? Number.POSITIVE_INFINITY),
    });
  }
  const waiting = new Map<string, WaitingMessages>();
  for (const name of new Set([...rooms.keys(), ...inPods.keys()])) {
    const pod = inPods.get(name);
    const messages = Math.max(rooms.get(name) ?? 0, pod?.messages ?? 0);
    waiting.set(name, { messages, ...timesOf(pod) });
  }
  return waiting;
}

function backlogsOf({ backlogs = [] }: Pick<PodReport, 'backlogs'>): NonNullable<PodReport['backlogs']> {
  return backlogs;
}

function timesOf({
  oldestMs = Number.POSITIVE_INFINITY,
  failingSinceMs = Number.POSITIVE_INFINITY,
}: Partial<WaitingMessages> = {}): Omit<WaitingMessages, 'messages'> {
  return {
    ...(Number.isFinite(oldestMs) && { oldestMs }),
    ...(Number.isFinite(failingSinceMs) && { failingSinceMs }),
  };
}
