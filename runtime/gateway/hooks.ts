/**
 * The hooks of a gateway, bound to its configuration, metrics and log; the requests are in `http/services/hooks.ts`.
 */

import type { HttpCall } from '../../crds/index.ts';
import { within } from '../../process/timing.ts';
import { HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import {
  askAuthorizer,
  callConnectHook,
  callDisconnectHook,
  type HookCall,
  type HookFailure,
  type HookSubject,
} from '../http/services/hooks.ts';
import { Service } from '../http/services/service.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics, HookName } from '../role/metrics.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import type { Closure } from '../socket/closure.ts';
import type { Connection } from '../socket/connection.ts';
import type { Handshake } from '../socket/handshake.ts';
import type { Admission } from '../socket/server.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';

export interface GatewayHooksDeps {
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly http: HttpClient;
  readonly secrets: MountedSecrets;
  readonly log: RoleLog;
  readonly metrics: GatewayMetrics;
}

/** The context of a client of whom nothing is said. */
const noContext = '{}';

export class GatewayHooks {
  readonly #deps: GatewayHooksDeps;
  readonly #stopping = new AbortController();
  /** Disconnect hooks that have not finished. */
  readonly #unfinished = new Set<Promise<void>>();

  constructor(deps: GatewayHooksDeps) {
    this.#deps = deps;
  }

  /** @throws {HydrogenError} to refuse */
  async authorize(connection: Connection, handshake: Handshake, signal: AbortSignal): Promise<Admission> {
    const { authorizer, limits } = this.#deps.spec.current;
    if (authorizer === undefined) return { context: noContext };
    const { headers, query, remoteAddress, subprotocols } = handshake;
    const request = { ...this.#subject(connection), headers, query, remote_address: remoteAddress, subprotocols };
    const call = { ...this.#call(authorizer.http), signal };
    const answer = this.#counted('authorizer', askAuthorizer(call, request, limits.maxContextBytes));
    const { context = noContext, subprotocol, user, channels = [], expiresAtMs } = await answer;
    if (channels.length > limits.maxChannelsPerConnection) {
      const detail = `it names ${channels.length} channels; limits.maxChannelsPerConnection is ${limits.maxChannelsPerConnection}`;
      throw new HydrogenError('HYD_AUTHORIZER_INVALID', detail);
    }
    return { context, subprotocol, user, channels, validMs: remaining(expiresAtMs) };
  }

  /** @throws {HydrogenError} HYD_CONNECT_HOOK_REFUSED */
  async connect(connection: Connection): Promise<void> {
    const target = this.#deps.spec.current.hooks.connect;
    if (target === undefined) return;
    const call = callConnectHook(this.#call(target), this.#subject(connection), connection.context);
    await this.#counted('connect', call);
  }

  /** Returns at once; the hook is retried in the background. */
  disconnected(connection: Connection, closure: Closure): void {
    const call = this.#sendDisconnect(connection, closure);
    this.#unfinished.add(call);
    void call.finally(() => this.#unfinished.delete(call));
  }

  /**
   * Lets every unfinished disconnect hook make one last attempt; resolves with how many had not finished after `maxMs`.
   */
  async finish(maxMs: number): Promise<number> {
    this.#stopping.abort();
    await within(maxMs, Promise.all(this.#unfinished));
    return this.#unfinished.size;
  }

  async #sendDisconnect(connection: Connection, closure: Closure): Promise<void> {
    const target = this.#deps.spec.current.hooks.disconnect;
    if (target === undefined) return;
    const body = {
      ...this.#subject(connection),
      code: closure.closeCode,
      reason: closure.reason,
      connected_seconds: Math.round(connection.ageMs / 10) / 100,
    };
    const onFailure = (failure: HookFailure): void => this.#logFailure(connection.id, failure);
    const { signal } = this.#stopping;
    const call = this.#call(target);
    const { context } = connection;
    const isTaken = await callDisconnectHook(call, target.maxAttempts, body, context, onFailure, signal);
    this.#deps.metrics.hooks.disconnect.add(isTaken ? 'ok' : 'givenUp');
  }

  #logFailure(connectionId: string, { attempt, detail, nextDelayMs }: HookFailure): void {
    const facts = { hook: 'disconnect', connectionId, attempt, detail };
    if (nextDelayMs === undefined) this.#deps.log.hookGivenUp(facts);
    else this.#deps.log.hookRetried(facts);
  }

  async #counted<Result>(hook: HookName, call: Promise<Result>): Promise<Result> {
    const tally = this.#deps.metrics.hooks[hook];
    try {
      const result = await call;
      tally.add('ok');
      return result;
    } catch (error) {
      tally.add('refused');
      throw error;
    }
  }

  #call({ url, headers, timeoutSeconds }: HttpCall): HookCall {
    const { identity, http, secrets } = this.#deps;
    const timeoutMs = timeoutSeconds * 1000;
    const service = new Service({ url, timeoutMs, headers: () => secrets.headers(headers) });
    return { http, service, callbackUrl: identity.callbackUrl };
  }

  #subject(connection: Connection): HookSubject & { readonly time: string } {
    const { instanceId, groupId, callbackUrl } = this.#deps.identity;
    return {
      instance_id: instanceId,
      group_id: groupId,
      connection_id: connection.id,
      endpoint: connection.endpoint,
      user: connection.user,
      callback: callbackUrl === '' ? undefined : callbackUrl,
      time: new Date().toISOString(),
    };
  }
}

/**
 * How long an authorization is still valid: the wall clock is read this once. @throws {HydrogenError} HYD_UNAUTHORIZED
 * when it is not
 */
function remaining(expiresAtMs: number | undefined): number | undefined {
  if (expiresAtMs === undefined) return undefined;
  const validMs = expiresAtMs - Date.now();
  if (validMs <= 0) throw new HydrogenError('HYD_UNAUTHORIZED', 'expires_at has passed');
  return validMs;
}
