/**
 * The dead-letter stream. What is known of a letter is one JSON header beside the untouched payload. A letter that is
 * replayed goes to the subject that it came from, marked for its processor alone; the consumers of other processors
 * acknowledge it unread. It is removed only after it was stored there.
 */

import { randomUUID } from 'node:crypto';
import { HydrogenError } from '../../errors.ts';
import type { DeadLetter, DeadLetterCause, DeadLetters } from '../port/dead-letters.ts';
import type { ClientMessage } from '../port/messages.ts';
import type { Subjects } from '../subjects.ts';
import { filtersOf, listConsumers, metadataKeys } from './durables.ts';
import { createCoverage } from './interest.ts';
import type { Publisher } from './publisher.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { headerBlock, headerNames, headerValue } from './wire.ts';

interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly hdrs?: string;
  readonly data?: string;
}

type Kept = Omit<DeadLetter, 'sequence' | 'payload'>;

/** What the header may take of the room that is left to headers. */
const maxHeaderBytes = 3072;

/** Stores a letter; each has an id of its own, for a replayed message may die again within the deduplication window. */
export function storeDeadLetter(
  publisher: Publisher,
  subjects: Subjects,
  processor: string,
  message: ClientMessage,
  attempts: number,
  { code, detail, status, rule }: DeadLetterCause,
): Promise<void> {
  const { id, connectionId, endpoint, callbackUrl, payload } = message;
  const kept: Kept = {
    id,
    connectionId,
    endpoint,
    callbackUrl,
    attempts,
    diedAtMs: Date.now(),
    code,
    detail,
    ...(status === undefined ? {} : { status }),
    ...(rule === undefined ? {} : { rule }),
  };
  const headers = headerBlock([
    [headerNames.messageId, randomUUID()],
    [headerNames.deadLetter, boundedJson(kept)],
  ]);
  return publisher.store({ subject: subjects.deadLetters(processor), headers, payload, connectionId });
}

/** @param messages publisher of the stream of client messages, for replays */
export function createDeadLetters(
  requests: Requests,
  messages: Publisher,
  subjects: Subjects,
  processor: string,
): DeadLetters {
  const subject = subjects.deadLetters(processor);
  const stream = subjects.deadLetterStream;

  async function read(body: object): Promise<DeadLetter | undefined> {
    try {
      const { message } = await requests.api<{ message: StoredMessage }>(`STREAM.MSG.GET.${stream}`, body);
      return message.subject === subject ? parse(message) : undefined;
    } catch (err) {
      if (isAbsent(err)) return undefined;
      throw err;
    }
  }

  async function remove(sequence: number): Promise<boolean> {
    if ((await read({ seq: sequence })) === undefined) return false;
    try {
      await requests.api(`STREAM.MSG.DELETE.${stream}`, { seq: sequence, no_erase: true });
      return true;
    } catch (err) {
      if (isAbsent(err)) return false;
      throw err;
    }
  }

  async function checkConsumed(endpoint: string): Promise<void> {
    const consumers = await listConsumers(requests, subjects.stream);
    const mine = consumers.filter(({ config }) => config.metadata?.[metadataKeys.processor] === processor);
    const filters = mine.flatMap(({ config }) => filtersOf(config));
    if (createCoverage(filters, subjects)(endpoint)) return;
    throw new HydrogenError('HYD_NOT_READY', `${processor} does not consume ${endpoint}`);
  }

  return {
    list: async (limit, afterSequence = 0) => {
      const letters: DeadLetter[] = [];
      let next = afterSequence + 1;
      while (letters.length < limit) {
        const letter = await read({ seq: next, next_by_subj: subject });
        if (letter === undefined) break;
        letters.push(letter);
        next = letter.sequence + 1;
      }
      return letters;
    },
    get: (sequence) => read({ seq: sequence }),
    replay: async (sequence) => {
      const letter = await read({ seq: sequence });
      if (letter === undefined) return false;
      await checkConsumed(letter.endpoint);
      const { id, connectionId, endpoint, callbackUrl, payload } = letter;
      const headers = headerBlock([
        [headerNames.messageId, randomUUID()],
        [headerNames.callback, callbackUrl],
        [headerNames.originalId, id],
        [headerNames.replayFor, processor],
      ]);
      await messages.store({ subject: subjects.clientMessage(endpoint, connectionId), headers, payload, connectionId });
      return remove(sequence);
    },
    remove,
    purge: async () => {
      try {
        const { purged } = await requests.api<{ purged: number }>(`STREAM.PURGE.${stream}`, { filter: subject });
        return purged;
      } catch (err) {
        if (isAbsent(err)) return 0;
        throw err;
      }
    },
  };
}

function parse({ seq, hdrs = '', data = '' }: StoredMessage): DeadLetter {
  const block = Buffer.from(hdrs, 'base64').toString('latin1');
  const kept = headerValue(block, headerNames.deadLetter);
  if (kept === undefined) throw new HydrogenError('HYD_MESSAGE_UNREADABLE', `dead letter ${seq}`);
  return { ...(JSON.parse(kept) as Kept), sequence: seq, payload: Buffer.from(data, 'base64') };
}

function isAbsent(err: unknown): boolean {
  const { messageNotFound, streamNotFound, sequenceNotFound, deleteFailed } = jetStreamCodes;
  return isRefused(err, messageNotFound, streamNotFound, sequenceNotFound, deleteFailed);
}

// The detail is shortened until the rest fits: a letter that can't be stored would never let go of its message.
function boundedJson(kept: Kept): string {
  const json = asciiJson(kept);
  if (json.length <= maxHeaderBytes || kept.detail === '') return json;
  const chars = Math.floor(Math.min(kept.detail.length, maxHeaderBytes) / 2);
  return boundedJson({ ...kept, detail: kept.detail.slice(0, chars) });
}

function asciiJson(value: unknown): string {
  const json = JSON.stringify(value);
  return json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
