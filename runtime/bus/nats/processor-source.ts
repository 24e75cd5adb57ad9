/** The deliveries of one processor from the stream of client messages: its streams and durable consumers. */

import type { ConsumerInfo, Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { ConsumerOptions, Delivery } from '../port/messages.ts';
import { bringsEntries } from './consumer-sets.ts';
import type { ConsumptionSource, SetupAttempt } from './consumption-source.ts';
import type { NatsCore } from './core.ts';
import { type DeliveryOwner, type NatsDelivery, readDelivery, readEntry } from './delivery.ts';
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

  reading(): void {
    this.#core.announcer.tell({ processor: this.#options.processor });
  }

  async leave(entries: readonly string[]): Promise<boolean> {
    const { requests, subjects, announcer, options } = this.#core;
    const { processor } = this.#options;
    try {
      const infos = entries.map((name) => requests.api<ConsumerInfo>(`CONSUMER.INFO.${subjects.stream}.${name}`));
      if ((await Promise.all(infos)).every(({ num_waiting }) => num_waiting > 0)) return false;
      await announcer.announce({ processor, isLeaving: true }, options.leaseMs);
      return true;
    } catch {
      // Disconnected, or the consumer is gone: a gateway finds out by itself that nobody reads.
      return false;
    }
  }

  read(
    msg: Msg,
    ack: AckSubject,
    reply: string,
    block: string,
    owner: DeliveryOwner,
  ): readonly NatsDelivery[] | HydrogenError {
    const { subjects } = this.#core;
    const { processor } = this.#options;
    const entry = subjects.parseEntry(msg.subject);
    if (entry !== undefined) {
      // A replica of a release without entries has let its consumer cover them.
      return bringsEntries(ack.consumer) ? readEntry(msg, ack, reply, block, entry, owner) : [];
    }
    const delivery = readDelivery(msg, ack, reply, block, subjects, owner);
    if (delivery instanceof HydrogenError) return delivery;
    return delivery.replayFor === undefined || delivery.replayFor === processor ? [delivery] : [];
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
