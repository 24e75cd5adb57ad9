/**
 * Finds dead peers (RFC 6455 section 5.5.2): pings every connection once per interval, spread evenly over it so that
 * many connections never ping at once, and ends those without a sign of life. One timer for all connections.
 */

import type { Connection } from './connection.ts';

export interface HeartbeatPolicy {
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
}

const tickMs = 1000;

/**
 * @param policy read at every tick, so that a change applies to open connections.
 * @param onDead called for a connection that was silent for `timeoutSeconds`; it must leave `connections`.
 * A connection whose reading is held is never dead: its pongs wait unread.
 */
export function createHeartbeat(
  connections: Iterable<Connection>,
  policy: () => HeartbeatPolicy,
  onDead: (connection: Connection) => void,
): { start(): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let tick = 0;

  function sweep(): void {
    const { intervalSeconds, timeoutSeconds } = policy();
    const deadline = Date.now() - timeoutSeconds * 1000;
    const slot = tick % intervalSeconds;
    tick += 1;
    for (const connection of connections) {
      if (connection.state !== 'open' || connection.isHeld) continue;
      if (connection.lastSeenMs <= deadline) onDead(connection);
      else if (slotOf(connection, intervalSeconds) === slot) connection.ping();
    }
  }

  return {
    start() {
      timer = setInterval(sweep, tickMs);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
    },
  };
}

function slotOf(connection: Connection, slots: number): number {
  return Math.floor(connection.createdAtMs / tickMs) % slots;
}
