/**
 * The end of a gateway: its connections are closed with 1001, spread evenly over the drain period so that their clients
 * do not all come back at once, and what they sent before they saw it is stored. A client whose messages the bus can't
 * take is told so with 1013.
 */

import type { Bus } from './bus/port.ts';
import { closeFor } from './gateway-intake.ts';
import { type Connection, holds } from './socket/connection.ts';
import type { SocketServer } from './socket/server.ts';

const tickMs = 100;
/** Milliseconds after the period for the last closing handshakes and for what the bus has not acknowledged. */
const handshakeMs = 3_000;
const flushMs = 5_000;

/** @returns drains over `periodMs`; resolves with how many connections had messages that could not be stored. */
export function createDrain(sockets: SocketServer, bus: Bus): (periodMs: number) => Promise<number> {
  const { connections } = sockets;

  function closeOne(connection: Connection): void {
    const isUnsaved = bus.isPressed;
    closeFor(connection, isUnsaved ? 'HYD_MESSAGES_UNSAVED' : 'HYD_DRAINING');
    // What it sent before it saw the close frame is still read; only the bus may hold that up.
    connection.release(holds.rate);
  }

  async function closeAll(periodMs: number): Promise<void> {
    const startedAtMs = Date.now();
    const total = openOnes().length;
    for (let open = openOnes(); open.length > 0; open = openOnes()) {
      const elapsedMs = Date.now() - startedAtMs;
      const due = elapsedMs >= periodMs ? total : Math.ceil((total * (elapsedMs + 1)) / periodMs);
      for (const connection of open.slice(0, Math.max(0, due - (total - open.length)))) closeOne(connection);
      if (openOnes().length > 0) await sleep(tickMs);
    }
  }

  function openOnes(): Connection[] {
    return [...connections.values()].filter(({ state }) => state === 'open');
  }

  return async (periodMs) => {
    await closeAll(periodMs);
    const deadlineMs = Date.now() + handshakeMs;
    while (sockets.count > 0 && Date.now() < deadlineMs) await sleep(tickMs / 5);
    const unsaved = await bus.flush(flushMs);
    return unsaved.length;
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
