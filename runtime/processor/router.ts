/** Decides where each message of a processor goes, by rules or by asking a rules engine. */

import type { Header, HydrogenMessageProcessorSpec, Rule, RulesEngine } from '../../crds/index.ts';
import type { DeadLetterCause } from '../bus/port/dead-letters.ts';
import type { Delivery } from '../bus/port/messages.ts';
import { HydrogenError } from '../errors.ts';
import type { HttpClient } from '../http/client/client.ts';
import { type AttemptFailure, type PreparedDestination, prepareDestination } from '../http/services/destination.ts';
import { createRulesEngine } from '../http/services/rules-engine.ts';
import type { Signer } from '../http/services/signer.ts';
import { createTraceparent } from '../http/services/trace.ts';
import { compileRules, placeOf } from '../route/rules.ts';

export type Route =
  | {
      readonly kind: 'destination';
      readonly destination: PreparedDestination;
      readonly rule: string;
      /** The queue of its destination: the name of the rule, or under a rules engine the origin of the URL. */
      readonly queue: string;
    }
  | { readonly kind: 'unmatched' }
  | ({ readonly kind: 'failed' } & AttemptFailure)
  /** It is to become a dead letter. */
  | { readonly kind: 'letter'; readonly cause: DeadLetterCause }
  /** The process is stopping: nothing was decided. */
  | { readonly kind: 'abandoned' };

/** Rules decide at once. */
export interface RuleRouter {
  readonly kind: 'rules';
  readonly destinations: number;
  route(delivery: Delivery): Route;
}

/** A rules engine is asked. */
export interface EngineRouter {
  readonly kind: 'engine';
  /** The queue of deliveries for which it is asked. */
  readonly queue: string;
  /** Never rejects. */
  route(delivery: Delivery): Promise<Route>;
}

export type Router = RuleRouter | EngineRouter;

/** `[name, value, ...]`: the same array as long as no value has changed. @throws {HydrogenError} HYD_SECRET_MISSING */
export type ResolveHeaders = (headers: readonly Header[]) => readonly string[];

export interface RouterDeps {
  readonly http: HttpClient;
  readonly resolveHeaders: ResolveHeaders;
  /** Undefined: requests are not signed. */
  readonly signer?: Signer | undefined;
}

/** `spec.routing` of a message processor: exactly one of `rules` and `rulesEngine`. */
type Routing = Pick<HydrogenMessageProcessorSpec['routing'], 'rules' | 'rulesEngine'>;

interface Prepared {
  readonly url: string;
  readonly headers: readonly Header[];
  readonly timeoutSeconds: number;
  readonly reply: boolean;
}
type Prepare = (spec: Prepared) => PreparedDestination;

/** The rule name under which messages routed by a rules engine are counted and logged. */
export const rulesEngineRule = 'rulesEngine';

const unmatched: Route = { kind: 'unmatched' };
const unreadable: Route = {
  kind: 'failed',
  code: 'HYD_MESSAGE_UNREADABLE',
  detail: 'the payload has no field message',
};

/** @throws {HydrogenError} HYD_CONFIG_INVALID for a bad pattern, URL or host pattern, naming where it is */
export function createRouter({ rules, rulesEngine }: Routing, { http, resolveHeaders, signer }: RouterDeps): Router {
  const traceparent = createTraceparent();
  const prepare: Prepare = ({ url, headers, timeoutSeconds, reply }) => {
    const timeoutMs = timeoutSeconds * 1000;
    return prepareDestination({ url, headers: () => resolveHeaders(headers), timeoutMs, reply, signer }, traceparent);
  };
  if (rulesEngine !== undefined && rules === undefined) return routeByEngine(rulesEngine, prepare, http);
  if (rules !== undefined && rulesEngine === undefined) return routeByRules(rules, prepare);
  throw new HydrogenError('HYD_CONFIG_INVALID', 'spec.routing needs exactly one of rules and rulesEngine');
}

function routeByRules(rules: readonly Rule[], prepare: Prepare): Router {
  const match = compileRules(rules);
  const routes = rules.map(({ name, destination }, index): Route => {
    try {
      return { kind: 'destination', destination: prepare(destination), rule: name, queue: name };
    } catch (cause) {
      if (!(cause instanceof HydrogenError)) throw cause;
      throw new HydrogenError('HYD_CONFIG_INVALID', `${placeOf(index, name)}: ${cause.message}`, { cause });
    }
  });
  return {
    kind: 'rules',
    destinations: rules.length,
    route(delivery) {
      const matched = match(delivery.payload);
      if (matched === 'unreadable') return unreadable;
      return matched === 'unmatched' ? unmatched : (routes[matched] ?? unmatched);
    },
  };
}

function routeByEngine(config: RulesEngine, prepare: Prepare, http: HttpClient): Router {
  const { url, headers, timeoutSeconds, destinationTimeoutSeconds, reply } = config;
  const ask = createRulesEngine(config, prepare({ url, headers, timeoutSeconds, reply: false }), http);
  return {
    kind: 'engine',
    queue: rulesEngineRule,
    async route(delivery) {
      const outcome = await ask(delivery);
      if (outcome.kind !== 'directions') return outcome;
      const named = { url: outcome.url, headers: outcome.headers, timeoutSeconds: destinationTimeoutSeconds, reply };
      const destination = prepare(named);
      return { kind: 'destination', destination, rule: rulesEngineRule, queue: destination.service.target.origin };
    },
  };
}
