/** The Prometheus registry of a process or role, with the default metrics (`process_*`, `nodejs_*`) in it. */

import { collectDefaultMetrics, Registry } from 'prom-client';

export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
