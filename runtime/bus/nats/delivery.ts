/**
 * Stored messages as deliveries, from the stream of client messages or from a waiting room: their fields are read from
 * subject, headers and body, and their end is published to the reply subject.
 */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { ClientMessage } from '../port/client-message.ts';
import type { DeadLetterCause } from '../port/dead-letters.ts';
import type { Delivery, Recalled } from '../port/messages.ts';
import type { ClientSubject, EntrySubject, Subjects } from '../subjects.ts';
import type { Acks } from './acks.ts';
import { decodeEntry } from './entry.ts';
import { type ParkedFacts, readParkedFacts } from './parked.ts';
import { Receipt } from './receipt.ts';
import { type AckSubject, headerNames, headerValue } from './wire.ts';

/** The consumption that a delivery belongs to. */
export interface DeliveryOwner {
  readonly acks: Pick<Acks, 'end' | 'working'>;
  ended(delivery: NatsDelivery): void;
  /** One of several that are stored together is handed back. @returns false when this process delivers no more */
  again(delivery: NatsDelivery, delayMs: number): boolean;
}

/** What a delivery is made of. */
interface Facts {
  readonly message: ClientMessage;
  readonly attempt: number;
  readonly storedAtMs: number;
  readonly source: string;
  /** The only processor that gets it, if it is a replay. */
  readonly replayFor: string | undefined;
  readonly room: string | undefined;
  readonly parked: ParkedFacts | undefined;
}

const acked = Buffer.from('+ACK');
const nakedNow = Buffer.from('-NAK');

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
  readonly replayFor: string | undefined;
  readonly source: string;
  readonly receipt: Receipt;
  readonly #facts: Facts;
  readonly #owner: DeliveryOwner;
  #attempt: number;
  #isEnded = false;

  constructor(facts: Facts, receipt: Receipt, owner: DeliveryOwner) {
    const { message, parked } = facts;
    this.id = message.id;
    this.connectionId = message.connectionId;
    this.endpoint = message.endpoint;
    this.callbackUrl = message.callbackUrl;
    this.payload = message.payload;
    this.#attempt = facts.attempt;
    this.storedAtMs = facts.storedAtMs;
    this.room = facts.room;
    this.dueAtMs = parked?.dueAtMs ?? 0;
    this.cause = parked?.cause;
    this.replayFor = facts.replayFor;
    this.source = facts.source;
    this.receipt = receipt;
    this.#facts = facts;
    this.#owner = owner;
  }

  /** Name of the consumer that delivered it. */
  get consumer(): string {
    return this.receipt.consumer;
  }

  get isShared(): boolean {
    return this.receipt.isShared;
  }

  get isReplay(): boolean {
    return this.replayFor !== undefined;
  }

  get attempt(): number {
    return this.#attempt;
  }

  /** It is kept: what must wait long is parked. */
  shed(): boolean {
    return false;
  }

  async recall(): Promise<Recalled> {
    return 'read';
  }

  begin(): boolean {
    return true;
  }

  rest(requests: number): void {
    this.#attempt += requests;
  }

  ack(): void {
    this.#end(() => this.receipt.end(acked));
  }

  nak(delayMs: number): void {
    this.#end(() => {
      if (!this.isShared) this.receipt.end(delayMs > 0 ? nakAfter(delayMs) : nakedNow);
      else if (!this.#owner.again(this, delayMs)) this.receipt.giveBack();
    });
  }

  working(): void {
    if (!this.#isEnded) this.receipt.working();
  }

  term(reason: string): void {
    this.#end(() => this.receipt.end(Buffer.from(`+TERM ${reason}`)));
  }

  /** The next delivery of the same message to this process. */
  next(): NatsDelivery {
    return new NatsDelivery({ ...this.#facts, attempt: this.attempt + 1 }, this.receipt, this.#owner);
  }

  #end(end: () => void): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    end();
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
  return single(msg, ack, reply, subject, id, block, owner, undefined, undefined);
}

/** The deliveries of an entry, in order. @returns an error, HYD_MESSAGE_UNREADABLE, when this release can't read it */
export function readEntry(
  msg: Msg,
  ack: AckSubject,
  reply: string,
  block: string,
  subject: EntrySubject,
  owner: DeliveryOwner,
): NatsDelivery[] | HydrogenError {
  const members = decodeEntry(block, msg.data, subject);
  if (members === undefined) return unreadable(msg, ack);
  const callbackUrl = headerValue(block, headerNames.callback) ?? '';
  const { endpoint } = subject;
  const { attempt, storedAtMs, streamSequence } = ack;
  const receipt = new Receipt(owner.acks, ack, reply, members.length);
  const rest = { attempt, storedAtMs, replayFor: undefined, room: undefined, parked: undefined };
  return members.map((member, index) => {
    const message = { ...member, endpoint, callbackUrl };
    return new NatsDelivery({ ...rest, message, source: `m${streamSequence}i${index}` }, receipt, owner);
  });
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
  return single(msg, ack, reply, subject, parked.id, block, owner, subject.room, parked);
}

function single(
  msg: Msg,
  ack: AckSubject,
  reply: string,
  { connectionId, endpoint }: ClientSubject,
  id: string,
  block: string,
  owner: DeliveryOwner,
  room: string | undefined,
  parked: ParkedFacts | undefined,
): NatsDelivery {
  const callbackUrl = headerValue(block, headerNames.callback) ?? '';
  const facts = {
    message: { id, connectionId, endpoint, callbackUrl, payload: msg.data },
    attempt: ack.attempt + (parked?.attempts ?? 0),
    storedAtMs: parked?.storedAtMs ?? ack.storedAtMs,
    source: `${room === undefined ? 'm' : 'w'}${ack.streamSequence}`,
    replayFor: headerValue(block, headerNames.replayFor),
    room,
    parked,
  };
  return new NatsDelivery(facts, new Receipt(owner.acks, ack, reply), owner);
}

function unreadable(msg: Msg, ack: AckSubject): HydrogenError {
  return new HydrogenError('HYD_MESSAGE_UNREADABLE', `sequence ${ack.streamSequence}, subject ${msg.subject}`);
}

function nakAfter(delayMs: number): Uint8Array {
  return Buffer.from(`-NAK {"delay":${Math.round(delayMs * 1e6)}}`);
}
