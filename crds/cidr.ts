/** The rule for ranges of IP addresses that their syntax cannot express. */
import { isIP } from 'node:net';

import { type CrossFieldRule, rule } from './rules.ts';

/** The rule that the CIDR at `path` has a valid address, and no more bits than that. */
export function cidrRule(path: string): CrossFieldRule {
  return rule<string>({
    path,
    rule: 'isCIDR(self)',
    message: 'must be a valid range: check the address and the number of bits',
    check: (self) => {
      const [address = '', bits = ''] = self.split('/');
      const family = isIP(address);
      return family !== 0 && /^(0|[1-9][0-9]*)$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
    },
  });
}
