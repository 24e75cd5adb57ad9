/**
 * The part of a message processor that delivers: it takes client messages off the bus and posts them to the user's
 * services. The only place where bus, routing and HTTP meet.
 *
 * - Messages of one connection are delivered one after another in arrival order, different connections side by side.
 * - A destination that fails, hangs or is slow delays its own messages: they wait in its waiting room, or with
 *   PerConnection here, and their connections with them.
 * - Open deliveries are reported as `working()`, so that a slow destination does not cause a second delivery.
 * - Rules, headers and delivery values change live; a delivery that has started finishes with the settings it started
 *   with.
 */

import { deadLetterRoom, unroutedRoom } from '../../crds/waiting-rooms.ts';
import { within } from '../../process/timing.ts';
import type { Bus } from '../bus/port/bus.ts';
import type { Consumption, Delivery, Lag, Recalled } from '../bus/port/messages.ts';
import { type DestinationBacklogReport, maxBacklogReports } from '../bus/port/reports.ts';
import { HydrogenError } from '../errors.ts';
import { createHttpClient, type HttpClient } from '../http/client/client.ts';
import type { Signer } from '../http/services/signer.ts';
import type { CircuitState, WorkerEvents } from '../role/events.ts';
import { Attempts } from './attempt.ts';
import { type CircuitOptions, defaultCircuit } from './circuit.ts';
import type { DestinationQueue } from './destination-queue.ts';
import { Dispatcher } from './dispatcher.ts';
import { ended, type OpenDelivery, type RunOutcome } from './open-delivery.ts';
import { RoomParking } from './parking.ts';
import type { PushReply } from './reply-lines.ts';
import { Rooms } from './rooms.ts';
import { type ResolveHeaders, rulesEngineRule } from './router.ts';
import { compileSettings, isSameConsumer, type ProcessorResource, type ProcessorSettings } from './settings.ts';

export interface WorkerDeps {
  /** Started and stopped by the caller; stopped after the worker. */
  readonly bus: Bus;
  readonly resolveHeaders: ResolveHeaders;
  /** Undefined: requests are not signed. */
  readonly signer?: Signer | undefined;
  readonly push: PushReply;
  readonly events: WorkerEvents;
  /** Milliseconds after which the stream deletes a message; default: never. */
  readonly maxAgeMs?: number;
  /** In [0, 1), for the jitter of retries; default `Math.random`. */
  readonly random?: () => number;
  readonly circuit?: CircuitOptions;
  /** Milliseconds until the next attempt to store a dead letter that was not accepted; default 10,000. */
  readonly letterRetryMs?: number;
}

/** Messages of a waiting room that may be open in this process: its own destination's, and one that is not known. */
const roomWindow = 64;
const strayWindow = 16;
/** Milliseconds after which a message that waits is reported. */
const longWaitMs = 30_000;
/** Deliveries of messages that are stored together, after which each is moved to where it is delivered by itself. */
const maxSharedDeliveries = 2;
/**
 * Deliveries beyond `maxAttempts` before a message counts as one on which processes die: those that were handed back
 * without a request, by a release without waiting rooms or while nothing can be parked, look the same.
 */
const spareDeliveries = 4;

export class Worker {
  readonly #deps: WorkerDeps;
  readonly #http: HttpClient;
  readonly #attempts: Attempts;
  readonly #parking: RoomParking;
  readonly #dispatcher: Dispatcher;
  #settings: ProcessorSettings;
  #state: 'new' | 'consuming' | 'stopping' = 'new';
  #consumption: Consumption | undefined;
  #rooms: Rooms | undefined;
  #onReadiness: () => void = () => {};
  #sweeper: NodeJS.Timeout | undefined;
  /** The restarts of the consumption, one after another. */
  #restarts: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  /** @throws {HydrogenError} HYD_CONFIG_INVALID */
  constructor(resource: ProcessorResource, deps: WorkerDeps) {
    const { bus, push, events, random = Math.random, circuit = defaultCircuit, letterRetryMs = 10_000 } = deps;
    this.#deps = deps;
    // maxInFlight already bounds the calls that are open at once.
    this.#http = createHttpClient({ connectionsPerOrigin: Number.POSITIVE_INFINITY });
    this.#parking = new RoomParking(bus.waiting, (room) => this.#rooms?.enter(room));
    const { deadLetters } = bus;
    const parking = this.#parking;
    this.#attempts = new Attempts({ deadLetters, parking, http: this.#http, push, events, random, letterRetryMs });
    this.#settings = this.#compile(resource);
    const steps = {
      route: (open: OpenDelivery) => this.#route(open),
      run: (open: OpenDelivery, queue: DestinationQueue) => this.#run(open, queue),
      park: (open: OpenDelivery, room: string) => this.#park(open, room),
      recall: (open: OpenDelivery) => this.#recall(open),
    };
    this.#dispatcher = new Dispatcher(this.#settings.limits, circuit, steps, {
      onRoom: () => this.#setRoom(),
      onCircuit: (queue, state) => this.#onCircuit(queue, state),
    });
  }

  /** True while deliveries can arrive. */
  get isReady(): boolean {
    return this.#state === 'consuming' && this.#consumption?.isReady === true;
  }

  /** Lanes that this replica owns; undefined unless ordered. */
  get lanes(): number | undefined {
    return this.#consumption?.lanes;
  }

  /** Deliveries that have started. */
  get running(): number {
    return this.#dispatcher.running;
  }

  /** Deliveries taken off the bus that are waiting for their turn. */
  get waiting(): number {
    return this.#dispatcher.waiting;
  }

  /**
   * The lag of this processor on the bus, `pending` being all that is stored and not consumed; undefined while it can't be
   * known.
   */
  async lag(): Promise<Lag | undefined> {
    const lag = await this.#consumption?.lag();
    return lag && { pending: lag.pending + lag.unacknowledged, unacknowledged: lag.unacknowledged };
  }

  /** Messages in the waiting rooms of each rule that has any, seconds old. */
  waitingByRule(): ReadonlyMap<string, number> {
    const byRule = new Map<string, number>();
    for (const [room, messages] of this.#rooms?.counts() ?? []) {
      byRule.set(ruleOf(room), (byRule.get(ruleOf(room)) ?? 0) + messages);
    }
    return byRule;
  }

  /** Seconds since the oldest message that is open here was stored, for each rule that has any. */
  oldestSecondsByRule(): ReadonlyMap<string, number> {
    const byRule = new Map<string, number>();
    for (const [queue, storedAtMs] of this.#dispatcher.oldest()) {
      const seconds = Math.max(0, Date.now() - storedAtMs) / 1000;
      byRule.set(ruleOf(queue), Math.max(byRule.get(ruleOf(queue)) ?? 0, seconds));
    }
    return byRule;
  }

  /** Messages that wait here for the destinations of each rule that has any. */
  heldByRule(): ReadonlyMap<string, number> {
    const byRule = new Map<string, number>();
    for (const [queue, { messages }] of this.#dispatcher.held()) {
      byRule.set(ruleOf(queue), (byRule.get(ruleOf(queue)) ?? 0) + messages);
    }
    return byRule;
  }

  /** The destinations for which a message has waited here for long, those with the most messages first. */
  backlogs(): readonly DestinationBacklogReport[] {
    const { queues } = this.#dispatcher;
    const latestMs = Date.now() - longWaitMs;
    const long = [...this.#dispatcher.held()].filter(([, { oldestMs }]) => oldestMs < latestMs);
    const reports = long.map(([destination, { messages, oldestMs }]) => {
      const failingSinceMs = queues.get(destination)?.circuit.failingSinceMs;
      return { destination, messages, oldestMs, ...(failingSinceMs !== undefined && { failingSinceMs }) };
    });
    return reports.sort((a, b) => b.messages - a.messages).slice(0, maxBacklogReports);
  }

  /** 1 for each rule with a destination that gets no requests now, or only a few to try it; 0 for the others. */
  openCircuitsByRule(): ReadonlyMap<string, number> {
    const byRule = new Map<string, number>();
    for (const { name, circuit, takesPlaces } of this.#dispatcher.queues.values()) {
      const isOpen = circuit.state === 'closed' ? 0 : 1;
      if (takesPlaces) byRule.set(ruleOf(name), Math.max(byRule.get(ruleOf(name)) ?? 0, isOpen));
    }
    return byRule;
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
   * endpoints, acknowledgement time-out or ordering restarts the consumption and nothing else.
   * @throws {HydrogenError} HYD_CONFIG_INVALID: the old version stays in force
   */
  async reconfigure(resource: ProcessorResource): Promise<void> {
    const { consumer } = this.#settings;
    this.#settings = this.#compile(resource);
    this.#dispatcher.configure(this.#settings.limits);
    this.#setRoom();
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
    const { resolveHeaders, signer, maxAgeMs = Number.POSITIVE_INFINITY } = this.#deps;
    return compileSettings(resource, { http: this.#http, resolveHeaders, signer }, maxAgeMs);
  }

  #consume(): void {
    const { consumer } = this.#settings;
    const { bus, events } = this.#deps;
    const onDelivery = (delivery: Delivery): void => this.#take(delivery);
    const onProblem = (error: HydrogenError): void => events.busProblem(error);
    this.#consumption = bus.messages.consume(consumer, onDelivery, onProblem, {
      onReadiness: () => this.#onReadiness(),
      onWithdrawn: () => this.#dispatcher.dropWithdrawn(),
      onTakeover: (lanes) => events.tookOver(lanes),
      onLeaseLost: (lanes) => events.lanesLost(lanes),
    });
    const { processor, ackTimeoutMs } = consumer;
    const windowOf = (room: string): number => this.#windowOf(room);
    this.#rooms = new Rooms({ waiting: bus.waiting, processor, ackTimeoutMs, windowOf, onDelivery, onProblem });
    this.#setRoom();
    this.#onReadiness();
    clearInterval(this.#sweeper);
    const sweepMs = consumer.ackTimeoutMs / 3;
    // A delivery younger than one sweep is covered by the next one, still within two thirds of the time-out.
    this.#sweeper = setInterval(() => this.#sweep(sweepMs), sweepMs);
  }

  #sweep(sweepMs: number): void {
    this.#dispatcher.keepAlive(sweepMs);
    const { limits, maxWaitMs } = this.#settings;
    // What waits for a destination stays here, and its time may run out.
    if (!limits.mayPark) this.#dispatcher.reroute(({ storedAtMs }) => Date.now() - storedAtMs > maxWaitMs);
  }

  /** What belongs to another replica by now must not be tried. */
  async #run(open: OpenDelivery, queue: DestinationQueue): Promise<RunOutcome> {
    if (!open.delivery.begin()) return ended;
    return this.#attempts.run(open, queue, open.settings ?? this.#settings);
  }

  #take(delivery: Delivery): void {
    if (this.#state === 'stopping') void this.#giveBack(delivery, delivery.room ?? unroutedRoom);
    else if (delivery.isShared && delivery.attempt > maxSharedDeliveries) void this.#isolate(delivery);
    else this.#dispatcher.add(delivery);
  }

  // One of them may be what processes die of. By itself, it alone becomes a dead letter.
  async #isolate(delivery: Delivery): Promise<void> {
    if (await this.#parking.waitUnchanged(delivery, unroutedRoom, this.#settings)) return;
    if (this.#state === 'stopping') delivery.nak(0);
    else this.#dispatcher.add(delivery);
  }

  #route(open: OpenDelivery): string {
    const { delivery } = open;
    const settings = this.#settings;
    const { router, maxWaitMs, maxAttempts } = settings;
    open.settings = settings;
    const cause = open.cause ?? delivery.cause;
    open.route = undefined;
    if (cause !== undefined) {
      open.route = { kind: 'letter', cause };
    } else if (Date.now() - delivery.storedAtMs > maxWaitMs) {
      const detail = `${Math.round(maxWaitMs / 1000)} s`;
      open.route = { kind: 'letter', cause: { code: 'HYD_EXPIRED', detail } };
    } else if (delivery.attempt > maxAttempts + spareDeliveries) {
      // A failed attempt would have made it a dead letter: those before this one never ended.
      open.route = { kind: 'letter', cause: { code: 'HYD_PROCESSOR_LOST', detail: '' } };
    } else if (router.kind === 'engine') {
      return router.queue;
    } else {
      open.route = router.route(delivery);
      if (open.route.kind === 'destination') return open.route.queue;
    }
    return deadLetterRoom;
  }

  /** Without another attempt. While stopping, what can't be parked is handed back. */
  async #park(open: OpenDelivery, room: string): Promise<boolean> {
    if (this.#state === 'stopping') return this.#giveBackOpen(open, room);
    return this.#parking.waitUnchanged(open.delivery, room, this.#settings);
  }

  async #recall({ delivery }: OpenDelivery): Promise<Recalled> {
    const outcome = await delivery.recall();
    if (outcome !== 'gone' || delivery.isWithdrawn) return outcome;
    delivery.term('gone');
    const detail = `message ${delivery.id} was deleted from the stream while it waited`;
    this.#deps.events.busProblem(new HydrogenError('HYD_MESSAGE_UNREADABLE', detail));
    return outcome;
  }

  async #giveBack(delivery: Delivery, room: string): Promise<true> {
    if (!(await this.#parking.waitUnchanged(delivery, room, this.#settings))) delivery.nak(0);
    return true;
  }

  async #giveBackOpen({ delivery, isShed }: OpenDelivery, room: string): Promise<true> {
    // Without its payload it can't be parked.
    if (!isShed) return this.#giveBack(delivery, room);
    delivery.nak(0);
    return true;
  }

  /** Ends what was taken off the stream and never arrived here. */
  async #giveBackUnseen(delivery: Delivery): Promise<void> {
    await this.#giveBack(delivery, unroutedRoom);
  }

  #setRoom(): void {
    if (this.#consumption !== undefined) this.#consumption.maxOpen = this.#dispatcher.maxFromStream;
    this.#rooms?.adjust(unroutedRoom);
  }

  #windowOf(room: string): number {
    if (room === unroutedRoom) return this.#dispatcher.isShort ? 0 : strayWindow;
    const queue = this.#dispatcher.queues.get(room);
    if (queue === undefined) return strayWindow;
    return Math.min(roomWindow, queue.limit, queue.circuit.admits);
  }

  #onCircuit(queue: DestinationQueue, state: CircuitState): void {
    this.#rooms?.adjust(queue.name);
    this.#deps.events.circuitChanged(queue.name, state);
  }

  async #restart(): Promise<void> {
    await Promise.all([this.#stopConsumption(false), this.#rooms?.stop()]);
    if (this.#state === 'consuming') this.#consume();
  }

  #stopConsumption(isLeaving: boolean): Promise<void> | undefined {
    return this.#consumption?.stop((delivery) => this.#giveBackUnseen(delivery), isLeaving);
  }

  async #shutDown(graceMs: number): Promise<void> {
    const taken = this.#dispatcher.takeWaiting();
    const consumptionEnd = this.#restarts.then(() => {
      const stopped = [this.#stopConsumption(true), this.#rooms?.stop()];
      // What a consumption in order had open, it has taken back.
      const rest = taken.filter(({ delivery }) => !delivery.isWithdrawn);
      return Promise.all([...stopped, ...rest.map((open) => this.#giveBackOpen(open, roomOf(open)))]);
    });
    const lastReply = this.#dispatcher.idle().then(() => this.#attempts.replied());
    await within(graceMs, Promise.all([consumptionEnd, lastReply]));
    clearInterval(this.#sweeper);
    this.#dispatcher.stop();
    await this.#http.close();
  }
}

/** The rule of a queue or room: origins that a rules engine names are unlimited in number, so they share one. */
function ruleOf(name: string): string {
  return name.includes('://') ? rulesEngineRule : name;
}

function roomOf({ delivery, route }: OpenDelivery): string {
  return route?.kind === 'destination' ? route.queue : (delivery.room ?? unroutedRoom);
}
