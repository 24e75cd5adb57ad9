/**
 * The bus on NATS: JetStream for client messages, waiting rooms and dead letters, core NATS between peers, a key-value bucket for
 * leases. Only this folder imports the `nats` package.
 */

import type { Bus, BusStatus } from '../port/bus.ts';
import { Acks } from './acks.ts';
import { createCore, type NatsBusOptions } from './core.ts';
import { NatsDeadLetters } from './dead-letters.ts';
import { NatsLeases } from './leases.ts';
import { NatsMessages } from './messages.ts';
import { NatsPeers } from './peers.ts';
import { serveReports } from './reports.ts';
import { NatsWaiting } from './waiting.ts';

export type { NatsBusOptions } from './core.ts';

/**
 * A bus that connects once it is started.
 * @throws {HydrogenError} HYD_CONFIG_INVALID when the group is not a valid token
 */
export function createNatsBus(options: NatsBusOptions): Bus {
  const core = createCore(options);
  const { link } = core;
  const acks = new Acks(link);
  const leases = new NatsLeases(core);
  const messages = new NatsMessages(core, acks, () => leases.instances);
  const deadLetters = new NatsDeadLetters(core, messages.publisher);
  const waiting = new NatsWaiting(core, acks);
  const peers = new NatsPeers(core);
  if (options.report !== undefined) serveReports(core, options.report);
  const statusListeners: ((status: BusStatus, cause?: unknown) => void)[] = [];
  link.onStatus((status, cause) => {
    for (const listener of statusListeners) listener(status, cause);
    messages.weigh();
  });
  return {
    messages,
    deadLetters,
    waiting,
    peers,
    leases,
    get status() {
      return link.status;
    },
    onStatus: (listener) => void statusListeners.push(listener),
    start: async () => link.start(),
    stop: async () => {
      leases.stop();
      await Promise.all([messages.stopConsuming(), waiting.stop()]);
      messages.publisher.stop();
      await link.stop();
    },
  };
}
