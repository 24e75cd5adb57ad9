/**
 * The end of a gateway's connections: they are closed with 1001, spread evenly over the drain period so that their
 * clients do not all come back at once. Each gets its close frame once what it sent is stored, and 1013 instead when
 * that is impossible before the gateway has to stop.
 */

import { type Deadline, sleep, within } from '../../process/timing.ts';
import { closureFor } from '../socket/closure.ts';
import type { Connection } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';
import type { Intake } from './intake.ts';

/** Connections that are due within one turn are closed together. */
const turnMs = 100;
/** How often the end is checked for. */
const pollMs = 20;
/** Milliseconds of silence after which a client that does not answer its close frame is cut off. */
const silenceMs = 3_000;
/** Milliseconds after the period in which a running connect hook may finish. */
const minConnectHookMs = 3_000;
const maxConnectHookMs = 5_000;
/** Milliseconds for the closing handshakes of clients that get 1013 at the end. */
const lastHandshakesMs = 1_000;

export interface DrainDeps {
  readonly sockets: SocketServer;
  readonly intake: Intake;
}

/**
 * Resolves when no connection is left and the bus has stored what was sent, or when the time for that is up, with the
 * number of messages that were read and never handed to the bus.
 * @param connectHookMs how long an upgrade may still take
 * @param deadline when the last client must have been closed
 */
export async function drain(
  { sockets, intake }: DrainDeps,
  periodMs: number,
  connectHookMs: number,
  deadline: Deadline,
): Promise<number> {
  await closeAll(sockets, periodMs);
  const upgradesAtMs = performance.now() + Math.max(minConnectHookMs, Math.min(maxConnectHookMs, connectHookMs));
  while (deadline.remainingMs() > lastHandshakesMs) {
    const isOver = sockets.isEmpty || (performance.now() > upgradesAtMs && !hasOpened(sockets));
    if (isOver && !intake.isUnsaved) return 0;
    for (const connection of sockets.connections.values()) connection.terminateIfSilent(silenceMs);
    await sleep(pollMs);
  }
  const thrownAway = intake.giveUp();
  await within(deadline.remainingMs(lastHandshakesMs), sockets.empty());
  return thrownAway;
}

async function closeAll(sockets: SocketServer, periodMs: number): Promise<void> {
  const open = [...sockets.connections.values()].filter(isOpen);
  const startedAtMs = performance.now();
  for (const [index, connection] of open.entries()) {
    if (!isOpen(connection)) continue;
    const waitMs = startedAtMs + (periodMs * index) / open.length - performance.now();
    if (waitMs > 0) await sleep(Math.max(waitMs, turnMs));
    connection.close(closureFor('HYD_DRAINING'));
  }
}

function hasOpened(sockets: SocketServer): boolean {
  for (const { wasOpen } of sockets.connections.values()) if (wasOpen) return true;
  return false;
}

function isOpen({ state }: Connection): boolean {
  return state === 'open';
}
