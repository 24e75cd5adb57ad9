/**
 * The part of a message processor that delivers: it takes client messages off the bus and posts them to the user's
 * services. The only place where bus, routing and HTTP meet.
 *
 * - Messages of one connection are delivered one after another in arrival order, different connections side by side.
 * - Open deliveries are reported as `working()`, so that a slow destination does not cause a second delivery.
 * - Rules, headers and delivery values change live; a delivery that has started finishes with the settings it started
 *   with.
 */

import { within } from '../../process/timing.ts';
import type { Bus } from '../bus/port/bus.ts';
import type { Consumption, Delivery, Lag } from '../bus/port/messages.ts';
import { createHttpClient, type HttpClient } from '../http/client/client.ts';
import type { WorkerEvents } from '../role/events.ts';
import { Attempts, type PushReply } from './attempt.ts';
import { Lanes } from './lanes.ts';
import type { ResolveHeaders } from './router.ts';
import { compileSettings, isSameConsumer, type ProcessorResource, type ProcessorSettings } from './settings.ts';

export interface WorkerDeps {
  /** Started and stopped by the caller; stopped after the worker. */
  readonly bus: Bus;
  readonly resolveHeaders: ResolveHeaders;
  readonly push: PushReply;
  readonly events: WorkerEvents;
  /** In [0, 1), for the jitter of retries; default `Math.random`. */
  readonly random?: () => number;
}

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #http: HttpClient;
  readonly #attempts: Attempts;
  readonly #lanes: Lanes;
  #settings: ProcessorSettings;
  #state: 'new' | 'consuming' | 'stopping' = 'new';
  #consumption: Consumption | undefined;
  #onReadiness: () => void = () => {};
  #sweeper: NodeJS.Timeout | undefined;
  /** The restarts of the consumption, one after another. */
  #restarts: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  /** @throws {HydrogenError} HYD_CONFIG_INVALID */
  constructor(resource: ProcessorResource, deps: WorkerDeps) {
    const { bus, push, events, random = Math.random } = deps;
    this.#deps = deps;
    // maxInFlight already bounds the calls that are open at once.
    this.#http = createHttpClient({ connectionsPerOrigin: Number.POSITIVE_INFINITY });
    this.#attempts = new Attempts({ deadLetters: bus.deadLetters, http: this.#http, push, events, random });
    this.#settings = this.#compile(resource);
    this.#lanes = new Lanes(this.#settings.consumer.maxInFlight, (delivery) =>
      this.#attempts.run(delivery, this.#settings),
    );
  }

  /** True while deliveries can arrive. */
  get isReady(): boolean {
    return this.#state === 'consuming' && this.#consumption?.isReady === true;
  }

  /** Deliveries that have started. */
  get running(): number {
    return this.#lanes.running;
  }

  /** Deliveries taken off the bus that are waiting for their turn. */
  get waiting(): number {
    return this.#lanes.waiting;
  }

  /** The lag of this processor on the bus; undefined while it can't be known. */
  async lag(): Promise<Lag | undefined> {
    return this.#consumption?.lag();
  }

  /** Begins to consume. @param onReadiness called whenever `isReady` may have changed */
  start(onReadiness: () => void = () => {}): void {
    if (this.#state !== 'new') return;
    this.#state = 'consuming';
    this.#onReadiness = onReadiness;
    this.#consume();
  }

  /**
   * Takes over a new version of the same resource. Resolves when it is in force; nothing open is dropped. A change of
   * endpoints, acknowledgement time-out, maxInFlight or ordering restarts the consumption and nothing else.
   * @throws {HydrogenError} HYD_CONFIG_INVALID: the old version stays in force
   */
  async reconfigure(resource: ProcessorResource): Promise<void> {
    const { consumer } = this.#settings;
    this.#settings = this.#compile(resource);
    if (this.#state !== 'consuming' || isSameConsumer(consumer, this.#settings.consumer)) return;
    this.#restarts = this.#restarts.then(() => this.#restart());
    await this.#restarts;
  }

  /**
   * Stops consuming, hands back deliveries that have not started, and resolves when the others are done or `graceMs`
   * have passed. Unfinished ones are left to the bus, which delivers them again elsewhere. Never rejects.
   */
  stop({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#state = 'stopping';
    this.#stopped ??= this.#shutDown(graceMs);
    return this.#stopped;
  }

  #compile(resource: ProcessorResource): ProcessorSettings {
    return compileSettings(resource, { http: this.#http, resolveHeaders: this.#deps.resolveHeaders });
  }

  #consume(): void {
    const { consumer } = this.#settings;
    this.#lanes.maxRunning = consumer.maxInFlight;
    this.#consumption = this.#deps.bus.messages.consume(
      consumer,
      (delivery) => this.#take(delivery),
      (error) => this.#deps.events.busProblem(error),
      () => this.#onReadiness(),
    );
    this.#onReadiness();
    clearInterval(this.#sweeper);
    const sweepMs = consumer.ackTimeoutMs / 3;
    // A delivery younger than one sweep is covered by the next one, still within two thirds of the time-out.
    this.#sweeper = setInterval(() => this.#lanes.keepAlive(sweepMs), sweepMs);
  }

  #take(delivery: Delivery): void {
    if (this.#state === 'stopping') delivery.nak(0);
    else this.#lanes.add(delivery);
  }

  async #restart(): Promise<void> {
    await this.#consumption?.stop();
    if (this.#state === 'consuming') this.#consume();
  }

  async #shutDown(graceMs: number): Promise<void> {
    const consumptionEnd = this.#restarts.then(() => this.#consumption?.stop());
    for (const delivery of this.#lanes.takeWaiting()) delivery.nak(0);
    await within(graceMs, Promise.all([consumptionEnd, this.#lanes.idle()]));
    clearInterval(this.#sweeper);
    await this.#http.close();
  }
}
