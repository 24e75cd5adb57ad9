/** What a replica of an ordered processor says under its key in the bucket of owners, as JSON. */

/** What the owner of a lane knows of it, or the last owner knew. */
export interface LaneRecord {
  /** It has given the lane up in order: nothing that it had begun is under way. */
  readonly isReleased: boolean;
  /** Requests that were sent for messages that are not consumed, by stream sequence. */
  readonly attempts: ReadonlyMap<number, number>;
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

/** Failed messages that a record has attempts of. Those beyond count from the beginning for the next owner. */
const maxAttempts = 4_096;
/** The same for messages that have ended. */
const maxEnded = 16_384;

export function encodeRecord({ leaseMs, beat, isLeaving, lanes }: OwnerRecord): Uint8Array {
  let room = maxAttempts;
  let endedRoom = maxEnded;
  const entries = Array.from(lanes, ([consumer, { isReleased, attempts, ended }]) => {
    const kept = Array.from(attempts).slice(0, room);
    const last = endedRoom > 0 ? ended.slice(-endedRoom) : [];
    room -= kept.length;
    endedRoom -= last.length;
    return [consumer, { isReleased, attempts: Object.fromEntries(kept), ended: last }] as const;
  });
  return Buffer.from(JSON.stringify({ leaseMs, beat, isLeaving, lanes: Object.fromEntries(entries) }));
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
  const { isReleased, ended = [] } = lane;
  const attempts = Object.entries(lane.attempts).map(([sequence, count]) => [Number(sequence), Number(count)] as const);
  if (!Array.isArray(ended) || !ended.every((one) => typeof one === 'number')) return undefined;
  if (!attempts.every(([sequence, count]) => sequence > 0 && count > 0)) return undefined;
  return { isReleased: isReleased === true, attempts: new Map(attempts), ended };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
