/** The hooks of a gateway, bound to its configuration, its counts and its log; what is posted is in `http/hooks.ts`. */

import type { Header } from '../../crds/index.ts';
import { within } from '../../process/timing.ts';
import { HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import {
  askAuthorizer,
  callConnectHook,
  callDisconnectHook,
  type HookContext,
  type HookSubject,
} from '../http/services/hooks.ts';
import type { GatewayConfig } from '../role/live-config.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayCounts } from '../role/metrics.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import type { Closure, Connection } from '../socket/connection.ts';
import type { Handshake } from '../socket/handshake.ts';
import type { Admission } from '../socket/server.ts';

export interface GatewayHooksDeps {
  readonly client: HttpClient;
  readonly secrets: MountedSecrets;
  callbackUrl(): string;
  readonly groupId: string;
  readonly instanceId: string;
  readonly log: RoleLog;
  readonly counts: GatewayCounts;
  spec(): GatewayConfig['gateway']['spec'];
}

export interface GatewayHooks {
  /** @throws {HydrogenError} to refuse */
  authorize(connection: Connection, handshake: Handshake): Promise<Admission>;
  /** @throws {HydrogenError} HYD_CONNECT_HOOK_REFUSED */
  connect(connection: Connection): Promise<void>;
  /** Returns at once; the hook is retried in the background. */
  disconnected(connection: Connection, closure: Closure): void;
  /** Lets every disconnect hook under way make one last attempt; resolves with how many were not done in time. */
  finish(): Promise<number>;
}

/** Milliseconds that disconnect hooks get when the gateway stops. */
const finishMs = 5_000;

export function createGatewayHooks(deps: GatewayHooksDeps): GatewayHooks {
  const { counts, log, spec } = deps;
  const stopping = new AbortController();
  const underway = new Set<Promise<void>>();

  function context(): HookContext {
    return {
      client: deps.client,
      callbackUrl: deps.callbackUrl(),
      resolveHeaders: (target) => deps.secrets.headers(target.headers as readonly Header[]),
    };
  }

  function subject(connection: Connection): HookSubject & { readonly time: string } {
    return {
      instance_id: deps.instanceId,
      group_id: deps.groupId,
      connection_id: connection.id,
      endpoint: connection.endpoint,
      time: new Date().toISOString(),
    };
  }

  async function counted<Result>(hook: string, call: Promise<Result>): Promise<Result> {
    try {
      const result = await call;
      counts.hooks.add(`${hook} ok`);
      return result;
    } catch (error) {
      counts.hooks.add(`${hook} refused`);
      if (error instanceof HydrogenError && error.code === 'HYD_SECRET_MISSING') {
        throw new HydrogenError(
          hook === 'authorizer' ? 'HYD_AUTHORIZER_UNAVAILABLE' : 'HYD_CONNECT_HOOK_REFUSED',
          undefined,
          {
            cause: error,
          },
        );
      }
      throw error;
    }
  }

  async function sendDisconnect(connection: Connection, closure: Closure): Promise<void> {
    const target = spec().hooks?.disconnect;
    if (target === undefined) return;
    const { id: connectionId } = connection;
    const hook = 'disconnect';
    const body = {
      ...subject(connection),
      context: { authorizer: connection.context },
      code: closure.code,
      reason: closure.reason,
      connected_seconds: Math.round((Date.now() - connection.createdAtMs) / 10) / 100,
    };
    const isTaken = await callDisconnectHook(
      context(),
      target,
      body,
      ({ attempt, detail, nextDelayMs }) => {
        if (nextDelayMs === undefined) log.hookGivenUp({ hook, connectionId, attempt, detail });
        else log.hookRetried({ hook, connectionId, attempt, detail });
      },
      stopping.signal,
    );
    counts.hooks.add(isTaken ? `${hook} ok` : `${hook} given up`);
  }

  return {
    async authorize(connection, handshake) {
      const authorizer = spec().authorizer?.http;
      if (authorizer === undefined) return { context: {} };
      const { headers, query, remoteAddress, subprotocols } = handshake;
      const request = { ...subject(connection), headers, query, remote_address: remoteAddress, subprotocols };
      return counted('authorizer', askAuthorizer(context(), authorizer, request, spec().limits.maxContextBytes));
    },
    async connect(connection) {
      const target = spec().hooks?.connect;
      if (target === undefined) return;
      const body = { ...subject(connection), context: { authorizer: connection.context } };
      await counted('connect', callConnectHook(context(), target, body));
    },
    disconnected(connection, closure) {
      const call = sendDisconnect(connection, closure);
      underway.add(call);
      void call.finally(() => underway.delete(call));
    },
    async finish() {
      stopping.abort();
      await within(finishMs, Promise.all(underway));
      return underway.size;
    },
  };
}
