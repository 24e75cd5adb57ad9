/** The deliveries of one waiting room: its stream and durable consumer, and how its messages are read. */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { Delivery } from '../port/messages.ts';
import type { ConsumptionSource, SetupAttempt } from './consumption-source.ts';
import type { NatsCore } from './core.ts';
import { type DeliveryOwner, type NatsDelivery, readParkedDelivery } from './delivery.ts';
import type { ConsumerSet } from './durables.ts';
import { ensureRoomConsumer, ensureWaitingStream, type RoomAddress } from './rooms.ts';
import type { AckSubject } from './wire.ts';

export class RoomSource implements ConsumptionSource {
  readonly stream: string;
  readonly what: string;
  readonly giveBack: (delivery: Delivery) => Promise<void>;
  readonly #core: NatsCore;
  readonly #at: RoomAddress;
  readonly #ackTimeoutMs: number;

  constructor(core: NatsCore, at: RoomAddress, ackTimeoutMs: number, giveBack: (delivery: Delivery) => Promise<void>) {
    this.stream = core.subjects.waitingStream;
    this.what = `waiting room ${JSON.stringify(at.room)} of ${at.processor}`;
    this.giveBack = giveBack;
    this.#core = core;
    this.#at = at;
    this.#ackTimeoutMs = ackTimeoutMs;
  }

  async ensure(_attempt: SetupAttempt): Promise<ConsumerSet> {
    const { requests, subjects, options } = this.#core;
    // What differs is reported by the set-up of the processor's own consumers.
    const outcome = await ensureWaitingStream(requests, subjects, options.stream);
    if (outcome instanceof Error) throw outcome;
    const name = await ensureRoomConsumer(requests, subjects, options.stream, this.#at, this.#ackTimeoutMs);
    return { names: [name], tag: name, isOrdered: false, isWide: false, entries: [] };
  }

  async narrow(): Promise<boolean> {
    return true;
  }

  reading(): void {}

  async leave(): Promise<boolean> {
    return false;
  }

  read(
    msg: Msg,
    ack: AckSubject,
    reply: string,
    block: string,
    owner: DeliveryOwner,
  ): readonly NatsDelivery[] | HydrogenError {
    const delivery = readParkedDelivery(msg, ack, reply, block, this.#core.subjects, owner);
    return delivery instanceof HydrogenError ? delivery : [delivery];
  }
}
