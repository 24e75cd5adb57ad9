/** A message of the stream as a delivery: its fields read from subject and headers, its end published to where it came from. */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { Delivery } from '../port/messages.ts';
import type { Subjects } from '../subjects.ts';
import type { AckSubject } from './wire.ts';
import { headerNames, headerValue } from './wire.ts';

/** Where a delivery says what became of it. */
export interface DeliveryOwner {
  /** Publishes to the reply subject, now or, when it is final, once the link is up again. */
  answer(reply: string, payload: Uint8Array, isFinal: boolean): void;
  ended(received: Received): void;
}

const acked = Buffer.from('+ACK');
const nakedNow = Buffer.from('-NAK');
const inProgress = Buffer.from('+WPI');

/** What was received. */
export interface Received {
  readonly delivery: Delivery;
  /** Name of the consumer that delivered it. */
  readonly consumer: string;
  /** The only processor that it is for, when it is a replay. */
  readonly replayFor: string | undefined;
  /** When it was last handed out or at work, in `performance.now()`: the acknowledgement time-out runs from here. */
  aliveAtMs: number;
}

/** @returns an error, HYD_MESSAGE_UNREADABLE, when no gateway wrote this message */
export function readDelivery(
  msg: Msg,
  ack: AckSubject,
  reply: string,
  block: string,
  subjects: Subjects,
  owner: DeliveryOwner,
): Received | HydrogenError {
  const subject = subjects.parseClientMessage(msg.subject);
  const messageId = headerValue(block, headerNames.messageId);
  if (subject === undefined || messageId === undefined) {
    return new HydrogenError('HYD_MESSAGE_UNREADABLE', `sequence ${ack.streamSequence}, subject ${msg.subject}`);
  }
  const replayFor = headerValue(block, headerNames.replayFor);
  let isEnded = false;

  function end(payload: Uint8Array): void {
    if (isEnded) return;
    isEnded = true;
    owner.answer(reply, payload, true);
    owner.ended(received);
  }

  const delivery: Delivery = {
    id: (replayFor === undefined ? undefined : headerValue(block, headerNames.originalId)) ?? messageId,
    connectionId: subject.connectionId,
    endpoint: subject.endpoint,
    callbackUrl: headerValue(block, headerNames.callback) ?? '',
    payload: msg.data,
    attempt: ack.attempt,
    isReplay: replayFor !== undefined,
    storedAtMs: ack.storedAtMs,
    ack: () => end(acked),
    nak: (delayMs) => end(delayMs > 0 ? nakAfter(delayMs) : nakedNow),
    working: () => {
      if (isEnded) return;
      received.aliveAtMs = performance.now();
      owner.answer(reply, inProgress, false);
    },
    term: (reason) => end(Buffer.from(`+TERM ${reason}`)),
  };
  const received: Received = { delivery, consumer: ack.consumer, replayFor, aliveAtMs: performance.now() };
  return received;
}

function nakAfter(delayMs: number): Uint8Array {
  return Buffer.from(`-NAK {"delay":${Math.round(delayMs * 1e6)}}`);
}
