/**
 * The end of a gateway's connections: they are closed with 1001, spread evenly over the drain period so that their
 * clients do not all come back at once, and what they sent before they saw the close frame is stored. A client whose
 * messages the bus does not store is closed with 1013 instead.
 */

import { type Deadline, sleep, within } from '../../process/timing.ts';
import type { MessageBus } from '../bus/port/messages.ts';
import { type Connection, holds } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';
import { closeFor, type Intake } from './intake.ts';

/** Connections that are due within one turn are closed together. */
const turnMs = 100;
/**
 * Milliseconds that the bus has to acknowledge what a connection has sent, before the connection is closed with 1013.
 */
const settleMs = 1_500;
/** Milliseconds after the period for the last closing handshakes, and for what the bus has not acknowledged. */
const handshakeMs = 3_000;
/** The same for upgrades whose connect hook is running. */
const maxConnectHookMs = 5_000;
const flushMs = 3_000;

export interface DrainDeps {
  readonly sockets: SocketServer;
  readonly messages: MessageBus;
  readonly intake: Intake;
}

/**
 * Resolves when no connection is left and the bus has stored what was sent, or when the time for that is up.
 * @param connectHookMs how long an upgrade may still take
 * @param deadline when the gateway must have stopped
 */
export async function drain(
  { sockets, messages, intake }: DrainDeps,
  periodMs: number,
  connectHookMs: number,
  deadline: Deadline,
): Promise<void> {
  const closing: Promise<void>[] = [];
  const open = [...sockets.connections.values()].filter(isOpen);
  const startedAtMs = performance.now();
  for (const [index, connection] of open.entries()) {
    if (!isOpen(connection)) continue;
    const waitMs = startedAtMs + (periodMs * index) / open.length - performance.now();
    if (waitMs > 0) await sleep(Math.max(waitMs, turnMs));
    if (isOpen(connection)) closing.push(closeOne(connection, messages, intake));
  }
  await Promise.all(closing);
  const lastMs = Math.max(handshakeMs, Math.min(maxConnectHookMs, connectHookMs));
  await within(deadline.remainingMs(lastMs), sockets.empty());
  await messages.flush(deadline.remainingMs(flushMs));
}

async function closeOne(connection: Connection, messages: MessageBus, intake: Intake): Promise<void> {
  connection.hold(holds.drain);
  await within(settleMs, intake.settled(connection));
  const isSaved = connection.unacknowledgedMessages === 0 && !messages.isPressed;
  closeFor(connection, isSaved ? 'HYD_DRAINING' : 'HYD_MESSAGES_UNSAVED');
  // What it sent before it saw the close frame is still read; only pressure of the bus may delay that.
  connection.release(holds.drain | holds.rate);
}

function isOpen({ state }: Connection): boolean {
  return state === 'open';
}
