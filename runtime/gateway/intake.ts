/**
 * Carries client messages from sockets to the bus, and back-pressure from the bus to sockets. Nothing read from a
 * client is thrown away: it is stored, or the connection is closed with a code that says it was not.
 */

import type { MessageBus } from '../bus/port/messages.ts';
import { type ErrorCode, HydrogenError } from '../errors.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics } from '../role/metrics.ts';
import { closureFor } from '../socket/closure.ts';
import type { Connection } from '../socket/connection.ts';
import { type HoldReason, holds } from '../socket/inbox.ts';
import { createEnvelopeWriter, envelopePrefix } from './envelope.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';
import { StoredQuota } from './stored-quota.ts';

export interface IntakeDeps {
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly messages: MessageBus;
  readonly log: RoleLog;
  readonly metrics: GatewayMetrics;
}

/** Client messages and bytes of one connection that may wait for the bus before the connection is held. */
const maxUnacknowledgedMessages = 128;
const maxUnacknowledgedBytes = 1_048_576;

export class Intake {
  readonly #deps: IntakeDeps;
  readonly #quota: StoredQuota;
  readonly #writeEnvelope = createEnvelopeWriter();
  /** Open connections, and closed ones until everything that was read from them is stored. */
  readonly #connections = new Set<Connection>();
  #reviews = 0;
  #wasPressed = false;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
    this.#quota = new StoredQuota(deps.messages, () => deps.spec.current.limits.maxStoredPerConnection);
  }

  /** True while something that was read is not stored. */
  get isUnsaved(): boolean {
    for (const connection of this.#connections) if (connection.isUnsaved) return true;
    return false;
  }

  /** Connections that are held, by reason; one that is held for several reasons counts for each. */
  held(): Map<HoldReason, number> {
    const counts = new Map<HoldReason, number>();
    for (const reason of Object.keys(holds) as HoldReason[]) counts.set(reason, 0);
    for (const connection of this.#connections) {
      if (connection.holds === 0) continue;
      for (const [reason, count] of counts) {
        if ((connection.holds & holds[reason]) !== 0) counts.set(reason, count + 1);
      }
    }
    return counts;
  }

  /** Call it once, before the first message. */
  open(connection: Connection): void {
    const { identity } = this.#deps;
    connection.envelopePrefix = envelopePrefix({
      instanceId: identity.instanceId,
      groupId: identity.groupId,
      connectionId: connection.id,
      endpoint: connection.endpoint,
      user: connection.user,
      context: connection.context,
    });
    this.#connections.add(connection);
    connection.hold(this.#busHolds(connection.endpoint));
  }

  /** Call it once its socket is gone. */
  closed(connection: Connection): void {
    if (!connection.isUnsaved) this.#connections.delete(connection);
  }

  take(connection: Connection, data: Buffer, isBinary: boolean): void {
    const { identity, messages, metrics, spec } = this.#deps;
    const { endpoint, id: connectionId } = connection;
    metrics.received.add(endpoint);
    metrics.receivedBytes.add(endpoint, data.length);
    if (spec.current.mode === 'ServerToClient') {
      this.#refuse(connection, new HydrogenError('HYD_MESSAGES_NOT_ACCEPTED'));
      return;
    }
    const { callbackUrl } = identity;
    const payload = this.#writeEnvelope(connection.envelopePrefix, data, isBinary, Date.now(), callbackUrl);
    connection.unacknowledgedMessages += 1;
    connection.unacknowledgedBytes += payload.length;
    if (
      connection.unacknowledgedMessages >= maxUnacknowledgedMessages ||
      connection.unacknowledgedBytes >= maxUnacknowledgedBytes
    ) {
      connection.hold(holds.unacknowledged);
    }
    const isApart = this.#quota.published(connection);
    const id = connection.nextMessageId();
    messages.publish({ id, connectionId, endpoint, callbackUrl, payload }, isApart).then(
      (position) => this.#ended(connection, payload.length, position, isApart),
      (error: unknown) => {
        this.#ended(connection, payload.length, undefined, isApart);
        this.#refuse(connection, error);
      },
    );
  }

  /**
   * Holds and releases connections as the bus is pressed and endpoints are consumed now; call it whenever either may
   * have changed.
   */
  review(): void {
    const { log, messages } = this.#deps;
    const { isPressed } = messages;
    const { messages: unacknowledgedMessages, bytes: unacknowledgedBytes } = messages.unacknowledged;
    if (isPressed !== this.#wasPressed) log.pressure({ isPressed, unacknowledgedMessages, unacknowledgedBytes });
    this.#wasPressed = isPressed;
    this.#reviews += 1;
    const review = this.#reviews;
    const byEndpoint = new Map<string, number>();
    for (const connection of [...this.#connections]) {
      const { endpoint } = connection;
      const wanted = byEndpoint.get(endpoint) ?? this.#busHolds(endpoint);
      byEndpoint.set(endpoint, wanted);
      connection.hold(wanted);
      if ((connection.holds & busHolds & ~wanted) === 0) continue;
      // What it hands over may press the bus again: those that were not released then are the first of the next review.
      this.#connections.delete(connection);
      this.#connections.add(connection);
      connection.release(busHolds & ~wanted);
      if (this.#reviews !== review) return;
    }
  }

  /** Gives up what is not stored: see `Connection.giveUp`. Returns how many messages were read and are thrown away. */
  giveUp(): number {
    let thrownAway = 0;
    for (const connection of this.#connections) thrownAway += connection.giveUp();
    return thrownAway;
  }

  /** The reasons for which the bus wants connections to this endpoint held. */
  #busHolds(endpoint: string): number {
    const { messages, spec } = this.#deps;
    if (spec.current.mode === 'ServerToClient') return 0;
    return (messages.isPressed ? holds.bus : 0) | (messages.isConsumed(endpoint) ? 0 : holds.consumer);
  }

  #ended(connection: Connection, bytes: number, position: number | undefined, isApart: boolean): void {
    this.#quota.ended(connection, position, isApart);
    connection.unacknowledgedMessages -= 1;
    connection.unacknowledgedBytes -= bytes;
    if (
      connection.unacknowledgedMessages <= maxUnacknowledgedMessages / 2 &&
      connection.unacknowledgedBytes <= maxUnacknowledgedBytes / 2
    ) {
      connection.release(holds.unacknowledged);
    }
    if (connection.unacknowledgedMessages > 0) return;
    connection.settle();
    if (connection.state === 'closed') this.closed(connection);
  }

  #refuse(connection: Connection, error: unknown): void {
    const { log } = this.#deps;
    const code: ErrorCode = error instanceof HydrogenError ? error.code : 'HYD_INTERNAL';
    if (code === 'HYD_INTERNAL') log.failed(error);
    log.messageRefused({ connectionId: connection.id, endpoint: connection.endpoint, code });
    connection.close(closureFor(code === 'HYD_BUS_STOPPED' ? 'HYD_MESSAGES_UNSAVED' : code));
  }
}

const busHolds = holds.bus | holds.consumer;
