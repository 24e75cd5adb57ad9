/** Chooses how a processor routes: by rules or by a rules engine. */

import { HydrogenError } from '../errors.ts';
import { createRulesEngine } from '../http/services/rules-engine.ts';
import type { Router, RouterDeps, Routing } from '../route/route.ts';
import { createRules } from '../route/rules.ts';

/** @throws {HydrogenError} HYD_CONFIG_INVALID for a bad pattern, URL or host pattern, naming where it is */
export function createRouter<D>(routing: Routing, deps: RouterDeps<D>): Router<D> {
  const { rules, rulesEngine } = routing;
  if (rulesEngine !== undefined && rules === undefined) return createRulesEngine(rulesEngine, deps);
  if (rules !== undefined && rulesEngine === undefined) return createRules(rules, deps);
  throw new HydrogenError('HYD_CONFIG_INVALID', 'spec.routing needs exactly one of rules and rulesEngine');
}
