/**
 * The bus on NATS: JetStream for client messages and dead letters, core NATS between peers, a key-value bucket for
 * leases. Only this folder imports the `nats` package.
 */

import type { Bus, BusStatus } from '../port/bus.ts';
import { createSubjects } from '../subjects.ts';
import { Link } from './connection.ts';
import { NatsDeadLetters } from './dead-letters.ts';
import type { NatsConnectionOptions } from './dial.ts';
import { NatsLeases } from './leases.ts';
import { NatsMessages, type NatsMessagesOptions } from './messages.ts';
import { PayloadLimit } from './payload-limit.ts';
import { NatsPeers } from './peers.ts';
import { createRequests } from './requests.ts';

export type { NatsAuthentication, NatsConnectionOptions, NatsEvent, NatsTls } from './dial.ts';
export type { DeadLetterOptions, StreamOptions } from './streams.ts';

export interface NatsBusOptions extends NatsConnectionOptions, NatsMessagesOptions {
  /** `<namespace>_<name>`. */
  readonly group: string;
  /** How long a lease outlives a killed owner. */
  readonly leaseMs: number;
}

/** A bus that connects once it is started. @throws {HydrogenError} HYD_CONFIG_INVALID when the group is no token */
export function createNatsBus(options: NatsBusOptions): Bus {
  const subjects = createSubjects(options.group);
  const link = new Link(options);
  const requests = createRequests(link);
  const limit = new PayloadLimit(link, options.stream.maxBytes);
  const messages = new NatsMessages(link, requests, subjects, limit, options);
  const deadLetters = new NatsDeadLetters(link, requests, subjects, messages.publisher);
  const peers = new NatsPeers(link, requests, subjects, limit);
  const leases = new NatsLeases(link, requests, subjects, options.leaseMs, options.stream);
  const statusListeners: ((status: BusStatus, cause?: unknown) => void)[] = [];
  link.onStatus((status, cause) => {
    for (const listener of statusListeners) listener(status, cause);
    messages.weigh();
  });
  return {
    messages,
    deadLetters,
    peers,
    leases,
    get status() {
      return link.status;
    },
    onStatus: (listener) => void statusListeners.push(listener),
    start: async () => link.start(),
    stop: async () => {
      leases.stop();
      await messages.stopConsuming();
      messages.publisher.stop();
      deadLetters.stop();
      await link.stop();
    },
  };
}
