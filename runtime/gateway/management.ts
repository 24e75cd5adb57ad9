/** The management API of a gateway: `http/management/` bound to the group's connections, wherever they are. */

import type { SecretKeyRef } from '../../crds/index.ts';
import type { Address, PeerBus } from '../bus/port/peers.ts';
import { HydrogenError } from '../errors.ts';
import { type AccessPolicy, allScopes, type KnownToken, type Scope } from '../http/management/access.ts';
import type { AddressedConnections, ConnectionsApi } from '../http/management/api.ts';
import type { Addressing } from '../peers/addressing.ts';
import { encodeBroadcast } from '../peers/codec.ts';
import { isConnectionId } from '../peers/connection-id.ts';
import { isIdempotencyKey } from '../peers/idempotency-key.ts';
import type { Push } from '../peers/push.ts';
import type { PushOutcome } from '../push-status.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';

export interface ConnectionsApiDeps {
  readonly peers: PeerBus;
  readonly push: Push;
  readonly addressing: Addressing;
  /** Bytes of the largest message that a client's buffer takes. */
  maxFrameBytes(): number;
}

export function createConnectionsApi({ peers, push, addressing, maxFrameBytes }: ConnectionsApiDeps): ConnectionsApi {
  return {
    isConnectionId,
    isIdempotencyKey,
    send: (connectionId, data, isBinary) => push.ask({ kind: 'send', connectionId, data, isBinary }),
    disconnect: (connectionId, closeCode, reason) => push.ask({ kind: 'disconnect', connectionId, closeCode, reason }),
    describe: async (connectionId) => checked(await push.ask({ kind: 'describe', connectionId })),
    changeMembership: (kind, connectionId, channel) => push.ask({ kind, connectionId, channel }),
    sendTo: async (to, frame, isAwaited) => {
      const question = { kind: 'send', except: undefined, key: undefined, ...frame } as const;
      if (frame.data.byteLength > maxFrameBytes())
        throw new HydrogenError('HYD_MESSAGE_TOO_LARGE', 'for the buffer of a client');
      if (!isAwaited) {
        addressing.tell(to, question);
        return undefined;
      }
      const { connections, sent, full, unanswered } = await addressing.ask(to, question);
      return { connections, sent, full, unanswered };
    },
    disconnectAll: async (of, closeCode, reason) => {
      const { connections, unanswered } = await addressing.ask(of, { kind: 'disconnect', closeCode, reason });
      return { connections, unanswered };
    },
    changeMemberships: async (kind, user, channel) => {
      const { connections, refused, unanswered } = await addressing.ask(
        { kind: 'user', name: user },
        { kind, channel },
      );
      return { connections, refused, unanswered };
    },
    list: async (wanted, limit, cursor) => {
      const question = { kind: 'list', filter: { ...wanted, limit, after: cursor } } as const;
      const { connections, list, unanswered } = await addressing.ask(addressOf(wanted), question);
      const items = list.slice(0, limit);
      const hasMore = list.length > limit || (items.length === limit && limit < connections);
      return { connections, unanswered, items, cursor: hasMore ? items.at(-1)?.connection_id : undefined };
    },
    broadcast: (data, isBinary, endpoints) => peers.broadcast(encodeBroadcast({ endpoints, data, isBinary })),
  };
}

/** Who may call, as the configuration in force says. */
export function managementAccess(
  spec: LiveGatewaySpec,
  secrets: MountedSecrets,
  identity: Pick<GatewayIdentity, 'callbackUrl'>,
): AccessPolicy {
  const token = (name: string, ref: SecretKeyRef, scopes: readonly Scope[]): KnownToken => ({
    name,
    scopes,
    value: () => secrets.read(ref),
  });
  return {
    tokens: () => {
      const { tokenSecretRef, tokens = [] } = spec.current.management;
      const scoped = tokens.map(({ name, secretRef, scopes }) => token(name, secretRef, scopes));
      return tokenSecretRef === undefined ? scoped : [token('tokenSecretRef', tokenSecretRef, allScopes), ...scoped];
    },
    allowedOrigins: () => spec.current.management.allowedOrigins ?? [],
    callbackHost: () => (identity.callbackUrl === '' ? undefined : new URL(identity.callbackUrl).host),
  };
}

/** Asks no more instances than can have such connections. */
function addressOf({ user, channel }: AddressedConnections): Exclude<Address, { kind: 'fence' }> {
  if (user !== undefined) return { kind: 'user', name: user };
  return channel === undefined ? { kind: 'everyone' } : { kind: 'channel', name: channel };
}

/** The owner is on the bus, and what it says goes to a service as JSON. */
function checked(outcome: PushOutcome): PushOutcome {
  if (outcome.status !== 'done' || isJsonObject(outcome.data)) return outcome;
  return { status: 'invalid', data: '' };
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // Not JSON, which is the answer.
    return false;
  }
}
