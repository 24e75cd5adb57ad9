/**
 * The dead-letter stream. A replayed letter
 * goes to its original subject, marked for its processor alone; the consumers of other processors acknowledge it
 * unread. It is removed from the dead-letter stream only after it is stored in the other one.
 */

import { HydrogenError } from '../../errors.ts';
import type {
  DeadLetter,
  DeadLetterBus,
  DeadLetterCause,
  DeadLetters,
  DeadMessage,
  LetterOutcome,
} from '../port/dead-letters.ts';
import { ownedBy } from './consumer-sets.ts';
import { listConsumers } from './consumer-view.ts';
import type { NatsCore } from './core.ts';
import { createCoverage } from './coverage.ts';
import { type KeptFacts, letterJson, readLetter, type StoredLetter } from './letter.ts';
import type { Publisher } from './publisher.ts';
import { isRefused, jetStreamCodes } from './requests.ts';
import { headerBlock, headerNames, judgeAck } from './wire.ts';

const storeTimeoutMs = 5_000;

export class NatsDeadLetters implements DeadLetterBus {
  readonly #core: NatsCore;
  readonly #messages: Publisher;
  /** The first bytes of an acknowledgement. */
  readonly #accepted: Uint8Array;

  /** @param messages publisher of the stream of client messages, for replays */
  constructor(core: NatsCore, messages: Publisher) {
    this.#core = core;
    this.#messages = messages;
    this.#accepted = Buffer.from(`{"stream":"${core.subjects.deadLetterStream}","seq":`);
  }

  async store(
    processor: string,
    message: DeadMessage,
    attempts: number,
    cause: DeadLetterCause,
  ): Promise<LetterOutcome> {
    const { id, connectionId, endpoint, callbackUrl, payload, isReplay, storedAtMs } = message;
    const { code, detail, status, rule } = cause;
    const facts: KeptFacts = {
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
      // A message whose processor died before it ended the delivery becomes the same letter again; one that was replayed
      // was stored at another time, and becomes a new one.
      [headerNames.messageId, `${processor}.${id}.${isReplay ? 'replay' : 'first'}.${storedAtMs}`],
      [headerNames.deadLetter, letterJson(facts)],
    ]);
    const subject = this.#core.subjects.deadLetters(processor);
    this.#core.limit.check(payload);
    const reply = await this.#core.requests.send(subject, payload, storeTimeoutMs, headers);
    if (reply.kind !== 'answer') {
      if (this.#core.link.status === 'stopped') throw new HydrogenError('HYD_BUS_STOPPED');
      return 'refused';
    }
    const verdict = judgeAck(reply.msg.data, this.#accepted);
    if (verdict === 'large') throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the stream');
    return verdict === 'stored' ? 'stored' : 'refused';
  }

  of(processor: string): DeadLetters {
    return new ProcessorLetters(this.#core, this.#messages, processor);
  }
}

class ProcessorLetters implements DeadLetters {
  readonly #core: NatsCore;
  readonly #messages: Publisher;
  readonly #processor: string;
  readonly #subject: string;

  constructor(core: NatsCore, messages: Publisher, processor: string) {
    this.#core = core;
    this.#messages = messages;
    this.#processor = processor;
    this.#subject = core.subjects.deadLetters(processor);
  }

  async list(limit: number, afterSequence = 0): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = [];
    let next = afterSequence + 1;
    while (letters.length < limit) {
      const letter = await this.#read({ seq: next, next_by_subj: this.#subject });
      if (letter === undefined) break;
      letters.push(letter);
      next = letter.sequence + 1;
    }
    return letters;
  }

  get(sequence: number): Promise<DeadLetter | undefined> {
    return this.#read({ seq: sequence });
  }

  async replay(sequence: number): Promise<boolean> {
    const letter = await this.get(sequence);
    if (letter === undefined) return false;
    if (letter.isForeign)
      throw new HydrogenError('HYD_MESSAGE_UNREADABLE', `dead letter ${sequence}: ${letter.detail}`);
    await this.#checkConsumed(letter.endpoint);
    const { id, connectionId, endpoint, callbackUrl, payload, diedAtMs } = letter;
    const headers = headerBlock([
      // The same letter replayed again, as after a crash before it was removed, is the same message.
      [headerNames.messageId, `${this.#processor}.replay.${sequence}.${diedAtMs}`],
      [headerNames.callback, callbackUrl],
      [headerNames.originalId, id],
      [headerNames.replayFor, this.#processor],
    ]);
    const message = { id, connectionId, endpoint, callbackUrl, payload };
    await this.#messages.store(this.#core.subjects.clientMessage(endpoint, connectionId), headers, message);
    return this.remove(sequence);
  }

  async remove(sequence: number): Promise<boolean> {
    if ((await this.get(sequence)) === undefined) return false;
    const body = { seq: sequence, no_erase: true };
    return (await this.#ask<object>('STREAM.MSG.DELETE', body)) !== undefined;
  }

  async purge(): Promise<number> {
    const answer = await this.#ask<{ purged: number }>('STREAM.PURGE', { filter: this.#subject });
    return answer?.purged ?? 0;
  }

  async #read(body: object): Promise<DeadLetter | undefined> {
    const answer = await this.#ask<{ message: StoredLetter }>('STREAM.MSG.GET', body);
    return answer?.message.subject === this.#subject ? readLetter(answer.message) : undefined;
  }

  /** Undefined when the letter or the stream does not exist. */
  async #ask<T>(call: string, body: object): Promise<T | undefined> {
    try {
      return await this.#core.requests.api<T>(`${call}.${this.#core.subjects.deadLetterStream}`, body);
    } catch (err) {
      const { messageNotFound, streamNotFound, sequenceNotFound, deleteFailed } = jetStreamCodes;
      if (isRefused(err, messageNotFound, streamNotFound, sequenceNotFound, deleteFailed)) return undefined;
      throw err;
    }
  }

  async #checkConsumed(endpoint: string): Promise<void> {
    const { requests, subjects } = this.#core;
    const consumers = await listConsumers(requests, subjects.stream);
    if (createCoverage(ownedBy(this.#processor, consumers), subjects)(endpoint)) return;
    throw new HydrogenError('HYD_NOT_READY', `${this.#processor} does not consume ${endpoint}`);
  }
}
