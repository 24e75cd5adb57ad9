/**
 * Routing by rules: patterns tried in order on the message's text, the first that is found in it decides. Everything is
 * compiled once; the payload is read only when a rule needs its text, and at most once per message.
 */

import type { Rule as RuleConfig } from '../../crds/index.ts';
import { HydrogenError } from '../errors.ts';
import { readMessageText } from './message-text.ts';
import type { Route, Router, RouterDeps } from './route.ts';
import { compilePattern, type MatchText } from './text-pattern.ts';

interface Rule<D> {
  /** Undefined: matches every text. */
  readonly matches: MatchText | undefined;
  readonly route: Route<D>;
}

const unmatched = { kind: 'unmatched' } as const;
const unreadable = {
  kind: 'failed',
  error: 'HYD_MESSAGE_UNREADABLE',
  detail: 'the payload holds no field message',
} as const;

/** @throws {HydrogenError} HYD_CONFIG_INVALID naming the rule and what is wrong with it */
export function createRules<D>(configs: readonly RuleConfig[], deps: RouterDeps<D>): Router<D> {
  const rules = configs.map((config, index) => compileRule(config, index, deps));
  return {
    route: (delivery) => {
      let text: string | undefined;
      for (const rule of rules) {
        if (rule.matches === undefined) return rule.route;
        text ??= readMessageText(delivery.payload);
        if (text === undefined) return unreadable;
        if (rule.matches(text)) return rule.route;
      }
      return unmatched;
    },
  };
}

function compileRule<D>(config: RuleConfig, index: number, deps: RouterDeps<D>): Rule<D> {
  const place = `rule ${index + 1} (${config.name})`;
  const { url, headers, timeoutSeconds, reply } = config.destination;
  try {
    const destination = deps.prepare({ url, headers, timeoutMs: timeoutSeconds * 1000, reply });
    return {
      matches: compilePattern(config.pattern),
      route: { kind: 'destination', destination, rule: config.name },
    };
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw invalid(place, `pattern ${JSON.stringify(config.pattern)}: ${cause.message}`, cause);
    }
    if (cause instanceof HydrogenError) throw invalid(place, cause.message, cause);
    throw cause;
  }
}

function invalid(place: string, reason: string, cause?: unknown): HydrogenError {
  return new HydrogenError('HYD_CONFIG_INVALID', `${place}: ${reason}`, { cause });
}
