/**
 * Finds dead peers (RFC 6455 section 5.5.2): pings every connection once per interval, spread evenly over it so that
 * many connections never ping at once, and reports those without a sign of life. Cuts off clients that do not answer
 * our close frame. One timer for all connections.
 */

import type { Connection } from './connection.ts';
import type { LiveSocketPolicy } from './policy.ts';

const tickMs = 1000;
/** Milliseconds of silence after which a client that owes us a close frame is cut off. */
const closeSilenceMs = 10_000;

export class Heartbeat {
  readonly #connections: ReadonlyMap<string, Connection>;
  readonly #policy: LiveSocketPolicy;
  readonly #onDead: (connection: Connection) => void;
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;

  /**
   * @param onDead called for a connection that was silent for `timeoutSeconds`; it must leave `connections`. A held
   *   connection never counts as dead: its pongs wait unread.
   */
  constructor(
    connections: ReadonlyMap<string, Connection>,
    policy: LiveSocketPolicy,
    onDead: (connection: Connection) => void,
  ) {
    this.#connections = connections;
    this.#policy = policy;
    this.#onDead = onDead;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sweep(), tickMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const { intervalSeconds, timeoutSeconds } = this.#policy.current.heartbeat;
    const deadlineMs = Date.now() - timeoutSeconds * 1000;
    const slot = this.#tick % intervalSeconds;
    this.#tick += 1;
    for (const connection of this.#connections.values()) {
      if (connection.state === 'closing') connection.terminateIfSilent(closeSilenceMs);
      if (connection.state !== 'open' || connection.isHeld) continue;
      if (connection.lastSeenMs <= deadlineMs) this.#onDead(connection);
      else if (slotOf(connection, intervalSeconds) === slot) connection.ping();
    }
  }
}

function slotOf(connection: Connection, slots: number): number {
  return Math.floor(connection.createdAtMs / tickMs) % slots;
}
