/**
 * Carries client messages from sockets to the bus, and back-pressure from the bus to sockets. Nothing read from a
 * client is thrown away: it is stored, or the connection is closed with a code that says it was not.
 */

import type { MessageBus } from '../bus/port/messages.ts';
import { closeCodes } from '../close.ts';
import { type ErrorCode, type ErrorEntry, errors, HydrogenError } from '../errors.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics } from '../role/metrics.ts';
import { type Connection, holds } from '../socket/connection.ts';
import { createEnvelopeWriter, envelopePrefix } from './envelope.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';

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
  readonly #writeEnvelope = createEnvelopeWriter();
  /** Called once the bus has acknowledged everything that the connection has sent. */
  readonly #onSettled = new Map<Connection, () => void>();
  #wasPressed = false;

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  /** Call it once, before the first message. */
  open(connection: Connection): void {
    const { identity, messages } = this.#deps;
    connection.envelopePrefix = envelopePrefix({
      instanceId: identity.instanceId,
      groupId: identity.groupId,
      connectionId: connection.id,
      endpoint: connection.endpoint,
      context: connection.context,
    });
    if (messages.isPressed) connection.hold(holds.bus);
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
    const payload = this.#writeEnvelope(connection.envelopePrefix, data, isBinary, Date.now());
    connection.unacknowledgedMessages += 1;
    connection.unacknowledgedBytes += payload.length;
    if (
      connection.unacknowledgedMessages >= maxUnacknowledgedMessages ||
      connection.unacknowledgedBytes >= maxUnacknowledgedBytes
    ) {
      connection.hold(holds.unacknowledged);
    }
    const id = connection.nextMessageId();
    messages.publish({ id, connectionId, endpoint, callbackUrl: identity.callbackUrl, payload }).then(
      () => this.#acknowledged(connection, payload.length),
      (error: unknown) => {
        this.#acknowledged(connection, payload.length);
        this.#refuse(connection, error);
      },
    );
  }

  /** Resolves once the bus has acknowledged, or refused, everything that this connection has sent. */
  settled(connection: Connection): Promise<void> {
    if (connection.unacknowledgedMessages === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onSettled.set(connection, resolve));
  }

  setPressure(connections: Iterable<Connection>, isPressed: boolean): void {
    const { log, messages } = this.#deps;
    const { messages: unacknowledgedMessages, bytes: unacknowledgedBytes } = messages.unacknowledged;
    if (isPressed !== this.#wasPressed) log.pressure({ isPressed, unacknowledgedMessages, unacknowledgedBytes });
    this.#wasPressed = isPressed;
    for (const connection of connections) {
      if (isPressed) connection.hold(holds.bus);
      else connection.release(holds.bus);
    }
  }

  #acknowledged(connection: Connection, bytes: number): void {
    connection.unacknowledgedMessages -= 1;
    connection.unacknowledgedBytes -= bytes;
    if (
      connection.unacknowledgedMessages <= maxUnacknowledgedMessages / 2 &&
      connection.unacknowledgedBytes <= maxUnacknowledgedBytes / 2
    ) {
      connection.release(holds.unacknowledged);
    }
    if (this.#onSettled.size === 0 || connection.unacknowledgedMessages > 0) return;
    this.#onSettled.get(connection)?.();
    this.#onSettled.delete(connection);
  }

  #refuse(connection: Connection, error: unknown): void {
    const { log } = this.#deps;
    const code: ErrorCode = error instanceof HydrogenError ? error.code : 'HYD_INTERNAL';
    if (code === 'HYD_INTERNAL') log.failed(error);
    log.messageRefused({ connectionId: connection.id, endpoint: connection.endpoint, code });
    closeFor(connection, code === 'HYD_BUS_STOPPED' ? 'HYD_MESSAGES_UNSAVED' : code);
  }
}

/** Closes a connection as the error table says. */
export function closeFor(connection: Connection, code: ErrorCode): void {
  const entry: ErrorEntry = errors[code];
  const closeCode = entry.close ?? closeCodes.internalError;
  connection.close({ closeCode, reason: entry.message, by: 'gateway', code });
}
