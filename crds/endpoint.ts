/** The rule for endpoint paths that their syntax cannot express. */
import { type CrossFieldRule, rule } from './rules.ts';

const dotSegment = '(^|/)([.]|%2[eE]){1,2}(/|$)';

/** The rule that the endpoint path at `path` has no segments that clients resolve before they connect. */
export function endpointPathRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    rule: `!self.matches('${dotSegment}')`,
    message: 'must not have a segment "." or "..", which clients resolve before they connect',
    check: (self) => !new RegExp(dotSegment).test(self),
  });
}
