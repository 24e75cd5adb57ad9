/**
 * One replica's consumption of a processor's messages: shared with all replicas, or in lanes that belong to one replica each.
 * What the consumers of the processor are decides, since a replica that already runs uses those that it finds; when they
 * are replaced by the other kind, it goes on with that.
 */

import type { HydrogenError } from '../../errors.ts';
import type { ConsumerOptions, Consumption, Delivery, GiveBack, Lag } from '../port/messages.ts';
import type { Acks } from './acks.ts';
import { NatsConsumption } from './consumption.ts';
import type { NatsCore } from './core.ts';
import { LaneConsumption } from './lanes/lane-consumption.ts';
import { ProcessorSource } from './processor-source.ts';

export interface ProcessorConsumptionEvents {
  onDelivery(delivery: Delivery): void;
  onProblem(error: HydrogenError): void;
  onReadiness(): void;
  onWithdrawn(): void;
  onTakeover(lanes: number): void;
  onLeaseLost(lanes: number): void;
}

export class ProcessorConsumption implements Consumption {
  readonly #core: NatsCore;
  readonly #acks: Acks;
  readonly #options: ConsumerOptions;
  readonly #inbox: string;
  readonly #events: ProcessorConsumptionEvents;
  /** Those that it has left and that are ending. */
  readonly #ending = new Set<Promise<void>>();
  #state: 'running' | 'stopped' = 'running';
  #count = 0;
  #maxOpen: number;
  #current: NatsConsumption | LaneConsumption;

  constructor(core: NatsCore, acks: Acks, options: ConsumerOptions, inbox: string, events: ProcessorConsumptionEvents) {
    this.#core = core;
    this.#acks = acks;
    this.#options = options;
    this.#inbox = inbox;
    this.#events = events;
    this.#maxOpen = options.maxInFlight;
    this.#current = this.#create(options.ordering === 'PerConnection', false);
  }

  get isReady(): boolean {
    return this.#state === 'running' && this.#current.isReady;
  }

  get lanes(): number | undefined {
    return this.#current.lanes;
  }

  get maxOpen(): number {
    return this.#maxOpen;
  }

  set maxOpen(next: number) {
    this.#maxOpen = next;
    this.#current.maxOpen = next;
  }

  lag(): Promise<Lag | undefined> {
    return this.#current.lag();
  }

  async stop(giveBack?: GiveBack): Promise<void> {
    this.#state = 'stopped';
    await Promise.all([this.#current.stop(giveBack), ...this.#ending]);
  }

  /** Ends without waiting for anything. */
  async abandon(): Promise<void> {
    this.#state = 'stopped';
    if (this.#current instanceof LaneConsumption) await this.#current.abandon();
    else await this.#current.stop();
  }

  #create(isOrdered: boolean, hasSucceeded: boolean): NatsConsumption | LaneConsumption {
    const source = new ProcessorSource(this.#core, this.#options);
    const inbox = `${this.#inbox}.${this.#count++}`;
    const events = {
      onDelivery: (delivery: Delivery) => this.#events.onDelivery(delivery),
      onProblem: (error: HydrogenError) => this.#events.onProblem(error),
      onReadiness: () => this.#events.onReadiness(),
      onWithdrawn: () => this.#events.onWithdrawn(),
      onTakeover: (lanes: number) => this.#events.onTakeover(lanes),
      onLeaseLost: (lanes: number) => this.#events.onLeaseLost(lanes),
      onOtherShape: () => this.#change(!isOrdered),
      onStopped: () => {},
    };
    if (isOrdered) {
      const options = { ...this.#options, maxInFlight: this.#maxOpen };
      return new LaneConsumption(this.#core, this.#acks, source, options, inbox, events, hasSucceeded);
    }
    const limits = { ackTimeoutMs: this.#options.ackTimeoutMs, maxOpen: this.#maxOpen };
    return new NatsConsumption(this.#core, this.#acks, source, limits, inbox, events, hasSucceeded);
  }

  #change(isOrdered: boolean): void {
    if (this.#state === 'stopped') return;
    const ending = this.#current.stop().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    this.#current = this.#create(isOrdered, true);
  }
}
