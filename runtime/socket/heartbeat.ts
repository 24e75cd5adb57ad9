/**
 * Finds dead peers (RFC 6455 section 5.5.2): pings every connection once per interval, spread evenly over it so that
 * many connections never ping at once, and reports those without a sign of life. Cuts off clients that do not answer
 * our close frame or take too long for a message, ends those whose time is over, and looks for held ones that have left.
 * One timer for all connections.
 */

import type { Connection } from './connection.ts';
import { readPresent } from './departures.ts';
import type { LiveSocketPolicy } from './policy.ts';

const tickMs = 1000;
/** A sweep that comes this late was kept from running, and so was everything that the clients have sent since. */
const lateMs = 500;
/** Milliseconds of silence after which a client that owes us a close frame is cut off. */
const closeSilenceMs = 10_000;

export class Heartbeat {
  readonly #connections: ReadonlyMap<string, Connection>;
  readonly #policy: LiveSocketPolicy;
  readonly #onDead: (connection: Connection) => void;
  #timer: NodeJS.Timeout | undefined;
  #tick = 0;
  #sweptAtMs = performance.now();
  /** Until then nobody counts as dead. */
  #graceUntilMs = 0;
  #isChecking = false;

  /**
   * @param onDead called for a connection that was silent for `timeoutSeconds`; it must leave `connections`. A held
   *   connection never counts as dead: its pongs wait unread. After the process was stopped or busy for longer than a
   *   sweep, clients have another interval: what they sent meanwhile is not read yet.
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
    this.#sweptAtMs = performance.now();
    this.#timer = setInterval(() => this.#sweep(), tickMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const { heartbeat, limits } = this.#policy.current;
    const { intervalSeconds, timeoutSeconds } = heartbeat;
    const nowMs = performance.now();
    if (nowMs - this.#sweptAtMs > tickMs + lateMs) this.#graceUntilMs = nowMs + intervalSeconds * 1000;
    this.#sweptAtMs = nowMs;
    const deadlineMs = nowMs < this.#graceUntilMs ? Number.NEGATIVE_INFINITY : nowMs - timeoutSeconds * 1000;
    void this.#findDepartures();
    const slot = this.#tick % intervalSeconds;
    this.#tick += 1;
    for (const connection of this.#connections.values()) {
      if (connection.state === 'closing') connection.terminateIfSilent(closeSilenceMs);
      connection.checkProgress(nowMs, limits.messageTimeoutSeconds * 1000);
      connection.endIfDue(nowMs);
      if (connection.state !== 'open' || connection.isHeld) continue;
      if (connection.lastSeenMs <= deadlineMs) this.#onDead(connection);
      else if (slotOf(connection, intervalSeconds) === slot) connection.ping();
    }
  }

  async #findDepartures(): Promise<void> {
    const waiting = [...this.#connections.values()].filter(isWaiting);
    if (this.#isChecking || waiting.length === 0) return;
    this.#isChecking = true;
    try {
      const present = await readPresent();
      if (present !== undefined) for (const connection of waiting) connection.checkPresence(present);
    } finally {
      this.#isChecking = false;
    }
  }
}

/** Held, and not because its end is decided. */
function isWaiting({ state, isHeld }: Connection): boolean {
  return state === 'open' && isHeld;
}

function slotOf(connection: Connection, slots: number): number {
  return Math.floor(connection.createdAtMs / tickMs) % slots;
}
