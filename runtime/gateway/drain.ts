/**
 * The end of a gateway: its connections are closed with 1001, spread evenly over the drain period so that their clients
 * do not all come back at once, and what they sent before they saw it is stored. A client whose messages the bus does not
 * take is told so with 1013.
 */

import type { MessageBus } from '../bus/port/messages.ts';
import { type Connection, holds } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';
import { closeFor } from './intake.ts';

const tickMs = 100;
/** Milliseconds that the bus gets to acknowledge what a connection has sent, before its client is told it is unsaved. */
const settleMs = 1_500;
/** Milliseconds after the period for the last closing handshakes, and for what the bus has not acknowledged. */
const handshakeMs = 3_000;
/** The same for upgrades whose connect hook is running: what the grace period of a pod leaves for it. */
const maxConnectHookMs = 5_000;
const flushMs = 3_000;

/**
 * @param connectHookSeconds how long an upgrade under way may still need.
 * @returns drains over `periodMs`; resolves when nothing is open or the time of what is left is up.
 */
export function createDrain(
  sockets: SocketServer,
  messages: MessageBus,
  connectHookSeconds: () => number,
): (periodMs: number) => Promise<void> {
  const { connections } = sockets;
  const begun = new Set<Connection>();

  async function closeOne(connection: Connection): Promise<void> {
    begun.add(connection);
    connection.hold(holds.drain);
    const isSaved = await eventually(() => connection.unacknowledgedMessages === 0, settleMs);
    closeFor(connection, isSaved && !messages.isPressed ? 'HYD_DRAINING' : 'HYD_MESSAGES_UNSAVED');
    // What it sent before it saw the close frame is still read; only the bus may hold that up.
    connection.release(holds.drain | holds.rate);
  }

  function waiting(): Connection[] {
    return [...connections.values()].filter((connection) => connection.state === 'open' && !begun.has(connection));
  }

  async function closeAll(periodMs: number): Promise<void> {
    const startedAtMs = Date.now();
    const total = waiting().length;
    const closing: Promise<void>[] = [];
    for (let open = waiting(); open.length > 0; open = waiting()) {
      const elapsedMs = Date.now() - startedAtMs;
      const due = elapsedMs >= periodMs ? total : Math.ceil((total * (elapsedMs + 1)) / periodMs);
      for (const connection of open.slice(0, Math.max(0, due - (total - open.length))))
        closing.push(closeOne(connection));
      if (waiting().length > 0) await sleep(tickMs);
    }
    await Promise.all(closing);
  }

  return async (periodMs) => {
    await closeAll(periodMs);
    await eventually(
      () => sockets.count === 0,
      Math.max(handshakeMs, Math.min(maxConnectHookMs, connectHookSeconds() * 1000)),
    );
    await messages.flush(flushMs);
  };
}

async function eventually(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + timeoutMs;
  while (!isDone() && Date.now() < deadlineMs) await sleep(tickMs / 5);
  return isDone();
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
