/** The deliveries of one processor from the stream of client messages: its streams and durable consumers. */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { ConsumerOptions, Delivery } from '../port/messages.ts';
import type { ConsumptionSource, SetupAttempt } from './consumption-source.ts';
import type { NatsCore } from './core.ts';
import { type DeliveryOwner, type NatsDelivery, readDelivery } from './delivery.ts';
import { type ConsumerSet, ensureConsumers, narrowConsumers } from './durables.ts';
import { JetStreamError } from './requests.ts';
import { ensureWaitingStream } from './rooms.ts';
import { type Conflict, clientStream, deadLetterStream, ensureStream } from './streams.ts';
import type { AckSubject } from './wire.ts';

export class ProcessorSource implements ConsumptionSource {
  readonly stream: string;
  readonly what: string;
  readonly #core: NatsCore;
  readonly #options: ConsumerOptions;

  constructor(core: NatsCore, options: ConsumerOptions) {
    this.stream = core.subjects.stream;
    this.what = `consumer ${options.processor}`;
    this.#core = core;
    this.#options = options;
  }

  async ensure({ hasSucceeded, report }: SetupAttempt): Promise<ConsumerSet> {
    const { requests, subjects, options } = this.#core;
    const conflicts: Conflict[] = [
      ...(await ensureStream(requests, clientStream(subjects, options.stream))),
      ...(await ensureStream(requests, deadLetterStream(subjects, options.stream, options.deadLetter))),
    ];
    const found = await ensureConsumers(this.#core, this.#options, hasSucceeded);
    const waiting = await ensureWaitingStream(requests, subjects, options.stream);
    if (waiting instanceof Error) this.#reportNoRooms(waiting, report);
    else conflicts.push(...waiting);
    for (const { object, field, have, want } of conflicts) {
      const detail = `${object}: ${field} is ${JSON.stringify(have)}, wanted ${JSON.stringify(want)}`;
      report(new HydrogenError('HYD_STREAM_CONFLICT', detail));
    }
    return found;
  }

  narrow(isWanted: () => boolean): Promise<boolean> {
    return narrowConsumers(this.#core, this.#options, this.#core.options.leaseMs, isWanted);
  }

  read(
    msg: Msg,
    ack: AckSubject,
    reply: string,
    block: string,
    owner: DeliveryOwner,
  ): NatsDelivery | HydrogenError | undefined {
    const delivery = readDelivery(msg, ack, reply, block, this.#core.subjects, owner);
    if (delivery instanceof HydrogenError || delivery.replayFor === undefined) return delivery;
    return delivery.replayFor === this.#options.processor ? delivery : undefined;
  }

  // It is tried again whenever something is to be parked.
  #reportNoRooms(cause: JetStreamError | HydrogenError, report: SetupAttempt['report']): void {
    if (!this.#core.link.isUp || (cause instanceof JetStreamError && cause.isTransient)) return;
    const code = cause instanceof JetStreamError ? 'HYD_STREAM_CONFLICT' : cause.code;
    const detail = `stream ${this.#core.subjects.waitingStream}, without which nothing can be parked: ${cause.message}`;
    report(new HydrogenError(code, detail, { cause }));
  }

  async giveBack(delivery: Delivery): Promise<void> {
    delivery.nak(0);
  }
}
