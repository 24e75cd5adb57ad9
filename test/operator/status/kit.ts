/** Facts of a gateway without problems, to be changed one at a time. */

import type { Facts, Workload } from '../../../operator/status/facts.ts';

export const running: Workload = {
  object: 'Deployment/chat-gateway',
  desired: 2,
  existing: 2,
  updated: 2,
  available: 2,
  ready: 2,
  isObserved: true,
  isStuck: false,
};

export const well: Facts = {
  kind: 'HydrogenGateway',
  name: 'chat',
  generation: 3,
  groupName: 'chat',
  group: { state: 'ready' },
  workload: running,
  hasWorkload: true,
};
