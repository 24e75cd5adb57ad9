/**
 * A stored message as a delivery, from the stream of client messages or from a waiting room: its fields are read from
 * subject and headers, and its end is published to its reply subject.
 */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { DeadLetterCause } from '../port/dead-letters.ts';
import type { Delivery } from '../port/messages.ts';
import type { ClientSubject, Subjects } from '../subjects.ts';
import type { Acks } from './acks.ts';
import { type ParkedFacts, readParkedFacts } from './parked.ts';
import { type AckSubject, headerNames, headerValue } from './wire.ts';

/** The consumption that a delivery belongs to. */
export interface DeliveryOwner {
  readonly acks: Pick<Acks, 'end' | 'working'>;
  ended(delivery: NatsDelivery): void;
}

const acked = Buffer.from('+ACK');
const nakedNow = Buffer.from('-NAK');
const inProgress = Buffer.from('+WPI');

export class NatsDelivery implements Delivery {
  readonly id: string;
  readonly connectionId: string;
  readonly endpoint: string;
  readonly callbackUrl: string;
  readonly payload: Uint8Array;
  readonly isWithdrawn = false;
  readonly storedAtMs: number;
  readonly room: string | undefined;
  readonly dueAtMs: number;
  readonly cause: DeadLetterCause | undefined;
  /** Name of the consumer that delivered it. */
  readonly consumer: string;
  /** The only processor that gets it, if it is a replay. */
  readonly replayFor: string | undefined;
  /**
   * When it was last handed out or reported at work, in `performance.now()`: the acknowledgement time-out runs from
   * here.
   */
  aliveAtMs = performance.now();
  readonly #sequence: number;
  readonly #reply: string;
  readonly #owner: DeliveryOwner;
  #attempt: number;
  #isEnded = false;

  constructor(
    msg: Msg,
    ack: AckSubject,
    reply: string,
    subject: ClientSubject,
    id: string,
    block: string,
    owner: DeliveryOwner,
    room?: string,
    parked?: ParkedFacts,
  ) {
    this.replayFor = headerValue(block, headerNames.replayFor);
    this.id = id;
    this.connectionId = subject.connectionId;
    this.endpoint = subject.endpoint;
    this.callbackUrl = headerValue(block, headerNames.callback) ?? '';
    this.payload = msg.data;
    this.#attempt = ack.attempt + (parked?.attempts ?? 0);
    this.storedAtMs = parked?.storedAtMs ?? ack.storedAtMs;
    this.room = room;
    this.dueAtMs = parked?.dueAtMs ?? 0;
    this.cause = parked?.cause;
    this.consumer = ack.consumer;
    this.#sequence = ack.streamSequence;
    this.#reply = reply;
    this.#owner = owner;
  }

  get isReplay(): boolean {
    return this.replayFor !== undefined;
  }

  get source(): string {
    return `${this.room === undefined ? 'm' : 'w'}${this.#sequence}`;
  }

  get attempt(): number {
    return this.#attempt;
  }

  begin(): boolean {
    return true;
  }

  rest(requests: number): void {
    this.#attempt += requests;
  }

  ack(): void {
    this.#end(acked);
  }

  nak(delayMs: number): void {
    this.#end(delayMs > 0 ? nakAfter(delayMs) : nakedNow);
  }

  working(): void {
    if (this.#isEnded) return;
    this.aliveAtMs = performance.now();
    this.#owner.acks.working(this.#reply, inProgress);
  }

  term(reason: string): void {
    this.#end(Buffer.from(`+TERM ${reason}`));
  }

  #end(payload: Uint8Array): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#owner.acks.end(this.#reply, payload);
    this.#owner.ended(this);
  }
}

/** @returns an error, HYD_MESSAGE_UNREADABLE, when no gateway wrote this message */
export function readDelivery(
  msg: Msg,
  ack: AckSubject,
  reply: string,
  block: string,
  subjects: Subjects,
  owner: DeliveryOwner,
): NatsDelivery | HydrogenError {
  const subject = subjects.parseClientMessage(msg.subject);
  const messageId = headerValue(block, headerNames.messageId);
  if (subject === undefined || messageId === undefined) return unreadable(msg, ack);
  const replayFor = headerValue(block, headerNames.replayFor);
  const id = replayFor === undefined ? messageId : (headerValue(block, headerNames.originalId) ?? messageId);
  return new NatsDelivery(msg, ack, reply, subject, id, block, owner);
}

/** The same for a message in a waiting room. @returns an error, HYD_MESSAGE_UNREADABLE, when no processor parked it */
export function readParkedDelivery(
  msg: Msg,
  ack: AckSubject,
  reply: string,
  block: string,
  subjects: Subjects,
  owner: DeliveryOwner,
): NatsDelivery | HydrogenError {
  const subject = subjects.parseWaitingMessage(msg.subject);
  const parked = readParkedFacts(block);
  if (subject === undefined || parked === undefined) return unreadable(msg, ack);
  return new NatsDelivery(msg, ack, reply, subject, parked.id, block, owner, subject.room, parked);
}

function unreadable(msg: Msg, ack: AckSubject): HydrogenError {
  return new HydrogenError('HYD_MESSAGE_UNREADABLE', `sequence ${ack.streamSequence}, subject ${msg.subject}`);
}

function nakAfter(delayMs: number): Uint8Array {
  return Buffer.from(`-NAK {"delay":${Math.round(delayMs * 1e6)}}`);
}
