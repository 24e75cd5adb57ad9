/**
 * The hooks of a gateway, bound to its configuration, metrics and log; the requests are in `http/services/hooks.ts`.
 */

import type { HttpCall } from '../../crds/index.ts';
import { within } from '../../process/timing.ts';
import { HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import { type AuthorizerAnswer, contextOfSize } from '../http/services/authorizer-answer.ts';
import {
  askAuthorizer,
  callConnectHook,
  callDisconnectHook,
  type HookCall,
  type HookFailure,
  type HookSubject,
} from '../http/services/hooks.ts';
import { Service } from '../http/services/service.ts';
import type { Signer } from '../http/services/signer.ts';
import { withoutTokens } from '../jwt/places.ts';
import type { VerifiedToken } from '../jwt/verifier.ts';
import type { RoleLog } from '../role/log.ts';
import type { GatewayMetrics, HookName } from '../role/metrics.ts';
import type { MountedSecrets } from '../role/secrets.ts';
import type { Closure } from '../socket/closure.ts';
import type { Connection } from '../socket/connection.ts';
import type { Handshake } from '../socket/handshake.ts';
import type { Admission } from '../socket/server.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';
import type { GatewayTokens } from './tokens.ts';

export interface GatewayHooksDeps {
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly http: HttpClient;
  readonly secrets: MountedSecrets;
  readonly tokens: GatewayTokens;
  /** Undefined: requests are not signed. */
  readonly signer: Signer | undefined;
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
    const providers = authorizer?.jwt?.providers;
    const token = providers === undefined ? undefined : await this.#deps.tokens.verify(handshake, providers);
    const verified = token === undefined ? undefined : admitted(token, limits.maxContextBytes);
    if (verified !== undefined) assertChannels(verified, limits.maxChannelsPerConnection);
    if (authorizer?.http === undefined) return verified ?? { context: noContext };
    connection.user = token?.user;
    const { remoteAddress, subprotocols } = handshake;
    const places = (providers ?? []).map(({ extractFrom }) => extractFrom);
    const { headers, query } = token === undefined ? handshake : withoutTokens(handshake, places, token.token);
    const request = { ...this.#subject(connection), headers, query, remote_address: remoteAddress, subprotocols };
    const call = { ...this.#call(authorizer.http, `${connection.id}-authorize`), signal };
    const asked = askAuthorizer(call, request, limits.maxContextBytes, token?.claims);
    const answer = await this.#counted('authorizer', asked);
    assertChannels(answer, limits.maxChannelsPerConnection);
    return combined(verified, answer);
  }

  /** @throws {HydrogenError} HYD_CONNECT_HOOK_REFUSED */
  async connect(connection: Connection): Promise<void> {
    const target = this.#deps.spec.current.hooks.connect;
    if (target === undefined) return;
    const call = callConnectHook(
      this.#call(target, `${connection.id}-connect`),
      this.#subject(connection),
      connection.context,
    );
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
    const call = this.#call(target, `${connection.id}-disconnect`);
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

  #call({ url, headers, timeoutSeconds }: HttpCall, id: string): HookCall {
    const { identity, http, secrets, signer } = this.#deps;
    const timeoutMs = timeoutSeconds * 1000;
    const service = new Service({ url, timeoutMs, headers: () => secrets.headers(headers), signer });
    return { http, service, id, callbackUrl: identity.callbackUrl };
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

/** What a verified token says about a client. @throws {HydrogenError} HYD_AUTHORIZER_INVALID: too large a context */
function admitted({ context, user, channels, validMs }: VerifiedToken, maxContextBytes: number): Admission {
  return { context: contextOfSize(context, maxContextBytes), user, channels, validMs };
}

/** @throws {HydrogenError} HYD_AUTHORIZER_INVALID */
function assertChannels({ channels = [] }: Pick<Admission, 'channels'>, max: number): void {
  if (channels.length <= max) return;
  const detail = `it names ${channels.length} channels; limits.maxChannelsPerConnection is ${max}`;
  throw new HydrogenError('HYD_AUTHORIZER_INVALID', detail);
}

/**
 * The authorizer's answer, on top of what the token said: it may replace context and channels and end the connection earlier, but
 * neither later nor as another user. @throws {HydrogenError} HYD_AUTHORIZER_INVALID
 */
function combined(verified: Admission | undefined, answer: AuthorizerAnswer): Admission {
  const user = answer.user ?? verified?.user;
  if (verified !== undefined && user !== verified.user) {
    throw new HydrogenError('HYD_AUTHORIZER_INVALID', 'user is not the one of the token');
  }
  const validMs = Math.min(remaining(answer.expiresAtMs), verified?.validMs ?? Number.POSITIVE_INFINITY);
  const { channels = verified?.channels, subprotocol } = answer;
  return { context: answer.context ?? verified?.context ?? noContext, subprotocol, user, channels, validMs };
}

/**
 * How long an authorization is still valid: the wall clock is read this once. @throws {HydrogenError} HYD_UNAUTHORIZED
 * when it is not
 */
function remaining(expiresAtMs: number | undefined): number {
  if (expiresAtMs === undefined) return Number.POSITIVE_INFINITY;
  const validMs = expiresAtMs - Date.now();
  if (validMs <= 0) throw new HydrogenError('HYD_UNAUTHORIZED', 'expires_at has passed');
  return validMs;
}
