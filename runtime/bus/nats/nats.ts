/**
 * The bus on NATS: JetStream for client messages and dead letters, core requests for what gateways say to one another,
 * a key-value bucket for leases. The only folder that imports the `nats` package is this one.
 */

import { HydrogenError } from '../../errors.ts';
import type { Bus, BusStatus } from '../port/bus.ts';
import type { Consumption } from '../port/messages.ts';
import type { PublishLimits } from '../port/pressure.ts';
import { createSubjects } from '../subjects.ts';
import { createLink, type NatsConnectionOptions } from './connection.ts';
import { createConsumption } from './consumer.ts';
import { createDeadLetters, storeDeadLetter } from './dead-letters.ts';
import { createInterest } from './interest.ts';
import { createLeases } from './lease.ts';
import { createPublisher } from './publisher.ts';
import { createRequests } from './requests.ts';
import type { DeadLetterOptions, StreamOptions } from './streams.ts';
import { checkedValue, headerNames } from './wire.ts';

export type { NatsAuthentication, NatsConnectionOptions, NatsEvent, NatsTls } from './connection.ts';
export { deleteConsumers, ensureConsumers } from './durables.ts';
export type { DeadLetterOptions, StreamOptions } from './streams.ts';
export { ensureStream } from './streams.ts';

export interface NatsBusOptions extends NatsConnectionOptions {
  /** `<namespace>_<name>`. */
  readonly group: string;
  readonly stream: StreamOptions;
  readonly deadLetter: DeadLetterOptions;
  /** How long a lease outlives an owner that vanished. */
  readonly leaseMs: number;
  readonly publishLimits?: PublishLimits;
}

/** Bytes of the server's limit that are left to headers. */
const headerBytes = 4096;
/** Ends of deliveries that are kept while the link is down; what is beyond is delivered again. */
const maxKeptAnswers = 65_536;
const idPattern = /^[A-Za-z0-9-]+$/;

/** A bus that connects once it is started. @throws {HydrogenError} HYD_CONFIG_INVALID when the group is no token */
export function createNatsBus(options: NatsBusOptions): Bus {
  const subjects = createSubjects(options.group);
  const link = createLink(options);
  const requests = createRequests(link);
  const publisher = createPublisher(link, 'm', subjects.stream, options.publishLimits);
  const letters = createPublisher(link, 'd', subjects.deadLetterStream);
  const interest = createInterest(link, requests, subjects);
  const leases = createLeases(link, requests, subjects, options.leaseMs, options.stream);
  const statusListeners: ((status: BusStatus, cause?: unknown) => void)[] = [];
  const pressureListeners: ((isPressed: boolean) => void)[] = [];
  const consumptions: Consumption[] = [];
  const keptAnswers: (readonly [reply: string, payload: Uint8Array])[] = [];
  const blocks = new Map<string, string>();
  let lastPressed = true;

  const isPressed = (): boolean => !link.isUp || publisher.isPressed;
  // A message larger than the whole stream would be refused for ever, and everything behind it would wait.
  const maxPayloadBytes = (): number =>
    Math.max(0, Math.min(link.maxPayloadBytes, options.stream.maxBytes) - headerBytes);

  function weigh(): void {
    const pressed = isPressed();
    if (pressed === lastPressed) return;
    lastPressed = pressed;
    for (const listener of pressureListeners) listener(pressed);
  }

  function checkSize(payload: Uint8Array): void {
    const max = maxPayloadBytes();
    if (payload.byteLength <= max) return;
    throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', `${payload.byteLength} bytes, the bus takes ${max}`);
  }

  // The end of a delivery outlives the connection that it came over.
  function answer(reply: string, payload: Uint8Array, isFinal: boolean): void {
    if (link.publish(reply, payload) || link.status === 'stopped' || !isFinal) return;
    if (keptAnswers.length < maxKeptAnswers) keptAnswers.push([reply, payload]);
  }

  // All messages of a gateway carry the same callback, so all but the id of their header block is the same.
  function headersOf(id: string, callbackUrl: string): string {
    let tail = blocks.get(callbackUrl);
    if (tail === undefined) {
      tail = `\r\n${headerNames.callback}: ${checkedValue(callbackUrl)}\r\n\r\n`;
      if (blocks.size < 64) blocks.set(callbackUrl, tail);
    }
    if (!idPattern.test(id)) throw new RangeError(`not a message id: ${JSON.stringify(id)}`);
    return `NATS/1.0\r\n${headerNames.messageId}: ${id}${tail}`;
  }

  publisher.onChange(weigh);
  link.onStatus((status) => {
    if (status !== 'up') return;
    for (const [reply, payload] of keptAnswers.splice(0)) link.publish(reply, payload);
  });
  link.onStatus((status, cause) => {
    for (const listener of statusListeners) listener(status, cause);
    weigh();
  });

  return {
    get status() {
      return link.status;
    },
    onStatus: (listener) => void statusListeners.push(listener),
    start: async () => link.start(),
    stop: async () => {
      interest.stop();
      leases.stop();
      await Promise.all(consumptions.map((consumption) => consumption.stop()));
      publisher.stop();
      letters.stop();
      await link.stop();
    },

    messages: {
      get maxPayloadBytes() {
        return maxPayloadBytes();
      },
      get isPressed() {
        return isPressed();
      },
      get unacknowledged() {
        return publisher.unacknowledged;
      },
      onPressure: (listener) => void pressureListeners.push(listener),
      flush: (timeoutMs) => publisher.flush(timeoutMs),
      publish: async ({ id, connectionId, endpoint, callbackUrl, payload }) => {
        checkSize(payload);
        const subject = subjects.clientMessage(endpoint, connectionId);
        await publisher.store({ subject, headers: headersOf(id, callbackUrl), payload, connectionId });
      },
      isConsumed: (endpoint) => interest.isConsumed(endpoint),
      onConsumers: (listener) => interest.onChange(listener),

      consume: (consumerOptions, onDelivery, onProblem) => {
        const { stream, deadLetter } = options;
        const deps = { link, requests, subjects, stream, deadLetter, answer };
        const inbox = `${link.inbox}.c${consumptions.length}`;
        const consumption = createConsumption(deps, consumerOptions, inbox, onDelivery, onProblem);
        consumptions.push(consumption);
        return consumption;
      },
    },
    deadLetters: {
      store: async (processor, message, attempts, cause) =>
        storeDeadLetter(letters, subjects, processor, message, attempts, cause),
      of: (processor) => createDeadLetters(requests, publisher, subjects, processor),
    },

    peers: {
      get maxPayloadBytes() {
        return maxPayloadBytes();
      },
      serve: (instanceId, handler) => {
        link.subscribe(subjects.instance(instanceId), ({ data, reply }) => {
          void handler(data).then((body) => reply !== undefined && link.publish(reply, body));
        });
      },
      request: async (instanceId, payload, timeoutMs) => {
        checkSize(payload);
        const reply = await requests.send(subjects.instance(instanceId), payload, timeoutMs);
        return reply.kind === 'answer' ? { kind: 'answer', payload: reply.msg.data } : reply;
      },
      broadcast: (payload) => {
        checkSize(payload);
        if (!link.publish(subjects.broadcast, payload)) throw new HydrogenError('HYD_BUS_UNREACHABLE');
      },
      onBroadcast: (listener) => void link.subscribe(subjects.broadcast, ({ data }) => listener(data)),
    },

    leases: {
      hold: (instanceId, onLost) => {
        subjects.instance(instanceId);
        return leases.hold(instanceId, onLost);
      },
      isHeld: (instanceId) => {
        subjects.instance(instanceId);
        return leases.isHeld(instanceId);
      },
    },
  };
}
