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
import { EarlierEntries } from './earlier-entries.ts';
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
  /** Of entries that were stored before the processor was ordered. */
  #earlier: NatsConsumption | undefined;

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

  async stop(giveBack?: GiveBack, isLeaving?: boolean): Promise<void> {
    this.#state = 'stopped';
    await Promise.all([this.#current.stop(giveBack, isLeaving), this.#earlier?.stop(giveBack), ...this.#ending]);
  }

  /** Ends without waiting for anything. */
  async abandon(): Promise<void> {
    this.#state = 'stopped';
    const current = this.#current;
    await Promise.all([current instanceof LaneConsumption ? current.abandon() : current.stop(), this.#earlier?.stop()]);
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
      onEntries: () => this.#readEarlier(),
      onStopped: () => {},
    };
    if (isOrdered) {
      const options = { ...this.#options, maxInFlight: this.#maxOpen };
      return new LaneConsumption(this.#core, this.#acks, source, options, inbox, events, hasSucceeded);
    }
    const limits = { ackTimeoutMs: this.#options.ackTimeoutMs, maxOpen: this.#maxOpen };
    return new NatsConsumption(this.#core, this.#acks, source, limits, inbox, events, hasSucceeded);
  }

  // Their order is not that of the messages behind them, as always when the form changes.
  #readEarlier(): void {
    if (this.#state === 'stopped' || this.#earlier !== undefined) return;
    const source = new EarlierEntries(this.#core, this.#options);
    const limits = { ackTimeoutMs: this.#options.ackTimeoutMs, maxOpen: this.#options.maxInFlight };
    this.#earlier = new NatsConsumption(this.#core, this.#acks, source, limits, `${this.#inbox}.e${this.#count++}`, {
      onDelivery: (delivery) => this.#events.onDelivery(delivery),
      onProblem: (error) => this.#events.onProblem(error),
      onReadiness: () => {},
      onOtherShape: () => {},
      onStopped: () => {},
    });
  }

  #change(isOrdered: boolean): void {
    if (this.#state === 'stopped') return;
    const earlier = this.#earlier;
    this.#earlier = undefined;
    const ending = Promise.all([this.#current.stop(), earlier?.stop()])
      .then(() => {})
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    this.#current = this.#create(isOrdered, true);
  }
}
