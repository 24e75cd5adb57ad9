/** The rule for URLs that their syntax cannot express. */
import { type CrossFieldRule, rule } from './rules.ts';

/** The rule that the URL at `path` is one that can be called. */
export function urlRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    rule: 'isURL(self)',
    message: 'must be a valid URL: check the address in brackets',
    check: (self) => URL.canParse(self),
  });
}
