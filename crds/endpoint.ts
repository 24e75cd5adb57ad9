/** What an endpoint's path must be beyond its characters. */
import { type CrossFieldRule, rule } from './rules.ts';

const dotSegment = '(^|/)([.]|%2[eE]){1,2}(/|$)';

/** That the path at `path` has no segment which a client would resolve away before it connects. */
export function endpointPathRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    rule: `!self.matches('${dotSegment}')`,
    message: 'must not have a segment "." or "..", which clients resolve before they connect',
    check: (self) => !new RegExp(dotSegment).test(self),
  });
}
