/**
 * The way of a client message from its socket to the bus, and of the bus's back-pressure to the socket. Nothing that
 * was read from a client is thrown away: it is stored, or the connection is closed with a code that says it was not.
 */

import type { MessageBus } from '../bus/port/messages.ts';
import { closeCodes } from '../close.ts';
import { type ErrorCode, type ErrorEntry, errors, HydrogenError } from '../errors.ts';
import type { GatewayConfig } from '../role/live-config.ts';
import type { Log } from '../role/log.ts';
import type { GatewayCounts } from '../role/metrics.ts';
import { type Connection, holds } from '../socket/connection.ts';
import { createEnvelopeWriter, envelopePrefix } from './envelope.ts';

export interface IntakeDeps {
  readonly messages: MessageBus;
  readonly instanceId: string;
  readonly groupId: string;
  callbackUrl(): string;
  readonly log: Log;
  readonly counts: GatewayCounts;
  spec(): GatewayConfig['gateway']['spec'];
}

export interface Intake {
  /** To be called once, before the first message. */
  open(connection: Connection): void;
  take(connection: Connection, data: Buffer, isBinary: boolean): void;
  setPressure(connections: Iterable<Connection>, isPressed: boolean): void;
}

/** Client messages and bytes of one connection that may wait for the bus before reading from it is held. */
const maxUnacknowledgedMessages = 128;
const maxUnacknowledgedBytes = 1_048_576;

export function createIntake(deps: IntakeDeps): Intake {
  const { messages, counts, log } = deps;
  const writeEnvelope = createEnvelopeWriter();
  let wasPressed = false;

  function settled(connection: Connection, bytes: number): void {
    connection.unacknowledgedMessages -= 1;
    connection.unacknowledgedBytes -= bytes;
    if (
      connection.unacknowledgedMessages <= maxUnacknowledgedMessages / 2 &&
      connection.unacknowledgedBytes <= maxUnacknowledgedBytes / 2
    ) {
      connection.release(holds.unacknowledged);
    }
  }

  function refuse(connection: Connection, error: unknown): void {
    const code: ErrorCode = error instanceof HydrogenError ? error.code : 'HYD_INTERNAL';
    if (code === 'HYD_INTERNAL') log.failed(error);
    log.messageRefused({ connectionId: connection.id, endpoint: connection.endpoint, code });
    closeFor(connection, code === 'HYD_BUS_STOPPED' ? 'HYD_MESSAGES_UNSAVED' : code);
  }

  return {
    open(connection) {
      connection.envelopePrefix = envelopePrefix({
        instanceId: deps.instanceId,
        groupId: deps.groupId,
        connectionId: connection.id,
        endpoint: connection.endpoint,
        context: connection.context,
      });
      if (messages.isPressed) connection.hold(holds.bus);
    },

    take(connection, data, isBinary) {
      const { endpoint, id: connectionId } = connection;
      counts.received.add(endpoint);
      counts.receivedBytes.add(endpoint, data.length);
      if (deps.spec().mode === 'ServerToClient') {
        refuse(connection, new HydrogenError('HYD_MESSAGES_NOT_ACCEPTED'));
        return;
      }
      const payload = writeEnvelope(connection.envelopePrefix, data, isBinary, Date.now());
      connection.unacknowledgedMessages += 1;
      connection.unacknowledgedBytes += payload.length;
      if (
        connection.unacknowledgedMessages >= maxUnacknowledgedMessages ||
        connection.unacknowledgedBytes >= maxUnacknowledgedBytes
      ) {
        connection.hold(holds.unacknowledged);
      }
      const id = connection.nextMessageId();
      messages.publish({ id, connectionId, endpoint, callbackUrl: deps.callbackUrl(), payload }).then(
        () => settled(connection, payload.length),
        (error: unknown) => {
          settled(connection, payload.length);
          refuse(connection, error);
        },
      );
    },

    setPressure(connections, isPressed) {
      const { messages: unacknowledgedMessages, bytes: unacknowledgedBytes } = messages.unacknowledged;
      if (isPressed !== wasPressed) log.pressure({ isPressed, unacknowledgedMessages, unacknowledgedBytes });
      wasPressed = isPressed;
      for (const connection of connections) {
        if (isPressed) connection.hold(holds.bus);
        else connection.release(holds.bus);
      }
    },
  };
}

/** Closes a connection as the error table says. */
export function closeFor(connection: Connection, code: ErrorCode): void {
  const entry: ErrorEntry = errors[code];
  connection.close({
    code: entry.close ?? closeCodes.internalError,
    reason: entry.message,
    by: 'gateway',
    error: code,
  });
}
