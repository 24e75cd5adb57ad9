/** What a replica of an ordered processor says under its key in the bucket of owners, as JSON. */

/** What the owner of a lane knows of it, or the last owner knew. */
export interface LaneRecord {
  /** It has given the lane up in order: nothing that it had begun is under way. */
  readonly isReleased: boolean;
  /** Requests that were sent for messages that are not consumed, by `messageKey`. */
  readonly attempts: ReadonlyMap<string, number>;
  /** By stream sequence, of each entry of which some messages have ended: the indexes of those that have not. */
  readonly left: ReadonlyMap<number, readonly number[]>;
  /**
   * Stream sequences of messages that ended shortly before it was released: the server may not have read their
   * acknowledgements yet.
   */
  readonly ended: readonly number[];
}

export interface OwnerRecord {
  /** Milliseconds of silence after which its lanes may be taken over. */
  readonly leaseMs: number;
  /** Differs each time that it is written. */
  readonly beat: number;
  /** It owns nothing any more and will not be back. */
  readonly isLeaving: boolean;
  /** By the name of the consumer. */
  readonly lanes: ReadonlyMap<string, LaneRecord>;
}

const keyPattern = /^[1-9]\d*(?:\.\d+)?$/;

/** Failed messages that a record has attempts of. Those beyond count from the beginning for the next owner. */
const maxAttempts = 4_096;
/** The same for messages that have ended. */
const maxEnded = 16_384;
/** The same for messages that are left of entries. Entries beyond are repeated whole. */
const maxLeft = 16_384;

/** A client message of the stream as a record names it. @param index its place in an entry; undefined: stored by itself */
export function messageKey(sequence: number, index: number | undefined): string {
  return index === undefined ? `${sequence}` : `${sequence}.${index}`;
}

/** The stream sequence of a key. */
export function sequenceOf(key: string): number {
  return Number.parseInt(key, 10);
}

export function encodeRecord({ leaseMs, beat, isLeaving, lanes }: OwnerRecord): Uint8Array {
  const room = { attempts: maxAttempts, ended: maxEnded, left: maxLeft };
  const entries = Array.from(lanes, ([consumer, lane]) => [consumer, encodeLane(lane, room)] as const);
  return Buffer.from(JSON.stringify({ leaseMs, beat, isLeaving, lanes: Object.fromEntries(entries) }));
}

/** @param room how much may still be said, which it reduces */
function encodeLane(
  { isReleased, attempts, left, ended }: LaneRecord,
  room: { attempts: number; left: number; ended: number },
): object {
  const kept = Array.from(attempts).slice(0, room.attempts);
  const last = room.ended > 0 ? ended.slice(-room.ended) : [];
  const parts: Record<string, readonly number[]> = {};
  for (const [sequence, indexes] of left) {
    room.left -= indexes.length;
    if (room.left >= 0) parts[sequence] = indexes;
  }
  room.attempts -= kept.length;
  room.ended -= last.length;
  const partly = Object.keys(parts).length > 0 ? { left: parts } : {};
  return { isReleased, attempts: Object.fromEntries(kept), ...partly, ended: last };
}

/** Undefined when no replica wrote it. */
export function parseRecord(payload: Uint8Array): OwnerRecord | undefined {
  try {
    const { leaseMs, beat, isLeaving, lanes } = JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>;
    if (typeof leaseMs !== 'number' || typeof beat !== 'number' || typeof isLeaving !== 'boolean') return undefined;
    if (!isObject(lanes)) return undefined;
    const known = Object.entries(lanes).flatMap(([consumer, lane]) => {
      const record = parseLane(lane);
      return record === undefined ? [] : [[consumer, record] as const];
    });
    return { leaseMs, beat, isLeaving, lanes: new Map(known) };
  } catch {
    // Not JSON: an empty value is a key that somebody has deleted.
    return undefined;
  }
}

function parseLane(lane: unknown): LaneRecord | undefined {
  if (!isObject(lane) || !isObject(lane.attempts)) return undefined;
  const { isReleased, ended = [], left = {} } = lane;
  const attempts = Object.entries(lane.attempts).map(([key, count]) => [key, Number(count)] as const);
  if (!isNumbers(ended) || !isObject(left)) return undefined;
  if (!attempts.every(([key, count]) => keyPattern.test(key) && count > 0)) return undefined;
  const parts = Object.entries(left).flatMap(([sequence, indexes]) =>
    isNumbers(indexes) ? [[Number(sequence), indexes] as const] : [],
  );
  return { isReleased: isReleased === true, attempts: new Map(attempts), left: new Map(parts), ended };
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
