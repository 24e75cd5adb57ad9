/**
 * How much of one connection is stored: in the stream of client messages, and in the waiting rooms of processors. The
 * server counts messages that are stored by themselves. Of entries it knows the position of the oldest on a subject.
 */

import type { StreamInfo } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { Remainder } from '../port/messages.ts';
import type { NatsCore } from './core.ts';
import { isRefused, JetStreamError, jetStreamCodes, type Requests } from './requests.ts';

/** How long the oldest entry of a lane may be remembered. */
const freshMs = 25;
const maxRemembered = 4096;

interface Remembered {
  readonly askedAtMs: number;
  readonly position: Promise<number>;
}

export class StoredView {
  readonly #core: NatsCore;
  /** By subject of shared entries. */
  readonly #oldest = new Map<string, Remembered>();

  constructor(core: NatsCore) {
    this.#core = core;
  }

  /** See `MessageBus.remainder`. */
  async remainder(endpoint: string, connectionId: string, isApart: boolean): Promise<Remainder | undefined> {
    const { requests, subjects } = this.#core;
    try {
      // In this order: a message is put into a room before it is acknowledged, so that none is missed on its way.
      const inStream = await countSubjects(requests, subjects.stream, subjects.clientMessage(endpoint, connectionId));
      const position = await this.#oldestEntry(endpoint, connectionId, isApart, inStream.lastSequence + 1);
      const inRooms = await countSubjects(requests, subjects.waitingStream, subjects.waitingOf(endpoint, connectionId));
      return { position, end: inStream.lastSequence + 1, counted: inStream.messages + inRooms.messages };
    } catch (err) {
      if (err instanceof JetStreamError || err instanceof HydrogenError) return undefined;
      throw err;
    }
  }

  /** @param end what is stored there or later is not part of the answer */
  #oldestEntry(endpoint: string, connectionId: string, isApart: boolean, end: number): Promise<number> {
    const { subjects } = this.#core;
    const lane = subjects.laneOf(endpoint, connectionId);
    if (isApart) return this.#ask(subjects.entry(endpoint, lane, connectionId), end);
    const subject = subjects.entry(endpoint, lane, undefined);
    const known = this.#oldest.get(subject);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.askedAtMs < freshMs) return known.position;
    if (this.#oldest.size >= maxRemembered) this.#oldest.clear();
    const position = this.#ask(subject, end);
    this.#oldest.set(subject, { askedAtMs: nowMs, position });
    return position;
  }

  /** Its answer comes with the whole entry. */
  async #ask(subject: string, end: number): Promise<number> {
    const { requests, subjects } = this.#core;
    try {
      const body = { seq: 1, next_by_subj: subject };
      const { message } = await requests.api<{ message: { seq: number } }>(`STREAM.MSG.GET.${subjects.stream}`, body);
      return Math.min(end, message.seq);
    } catch (err) {
      if (isRefused(err, jetStreamCodes.messageNotFound, jetStreamCodes.streamNotFound)) return end;
      throw err;
    }
  }
}

/** Messages whose subject matches, and the last of the stream; 0 while it does not exist. @throws what `Requests.api` throws */
async function countSubjects(
  requests: Requests,
  stream: string,
  filter: string,
): Promise<{ readonly messages: number; readonly lastSequence: number }> {
  try {
    const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`, { subjects_filter: filter });
    const messages = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    return { messages, lastSequence: state.last_seq };
  } catch (err) {
    if (isRefused(err, jetStreamCodes.streamNotFound)) return { messages: 0, lastSequence: 0 };
    throw err;
  }
}
