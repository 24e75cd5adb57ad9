/** Metrics of the operator. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { createRegistry } from '../process/registry.ts';

export interface OperatorMetrics {
  readonly registry: Registry;
  reconciled(kind: string, result: 'done' | 'failed'): void;
  waited(seconds: number): void;
  called(verb: string, resource: string, status: number): void;
  watchRestarted(resource: string): void;
}

export interface OperatorGauges {
  queueDepth(): number;
  isLeading(): boolean;
  /** `holders`: the objects that are rolling out, as `HydrogenGateway/shop/chat`. */
  rollouts(): { readonly running: number; readonly waiting: number; readonly holders: readonly string[] };
}

export function createOperatorMetrics(gauges: OperatorGauges): OperatorMetrics {
  const registry = createRegistry();
  const registers = [registry];
  const prefix = 'hydrogen_operator_';
  const reconciles = new Counter({
    name: `${prefix}reconciles_total`,
    help: 'Reconciliations, by kind and result',
    labelNames: ['kind', 'result'],
    registers,
  });
  const waits = new Histogram({
    name: `${prefix}queue_wait_seconds`,
    help: 'Time that objects in the queue waited for a worker',
    buckets: [0.001, 0.01, 0.1, 1, 10, 60],
    registers,
  });
  const calls = new Counter({
    name: `${prefix}api_calls_total`,
    help: 'Calls to the API server, by verb, resource and status; status 0 means no answer',
    labelNames: ['verb', 'resource', 'status'],
    registers,
  });
  const restarts = new Counter({
    name: `${prefix}watch_failures_total`,
    help: 'Lists and watches that failed and were retried',
    labelNames: ['resource'],
    registers,
  });
  new Gauge({
    name: `${prefix}queue_depth`,
    help: 'Objects in the queue that are waiting for a worker',
    registers,
    collect() {
      this.set(gauges.queueDepth());
    },
  });
  new Gauge({
    name: `${prefix}rollouts`,
    help: 'Rollouts to the image of this release, by state: running or waiting',
    labelNames: ['state'],
    registers,
    collect() {
      const { running, waiting } = gauges.rollouts();
      this.set({ state: 'running' }, running);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  new Gauge({
    name: `${prefix}rollout_holder`,
    help: '1 for each object that has one of the slots for rollouts',
    labelNames: ['kind', 'namespace', 'name'],
    registers,
    collect() {
      this.reset();
      for (const holder of gauges.rollouts().holders) {
        const [kind = '', namespace = '', name = ''] = holder.split('/');
        this.set({ kind, namespace, name }, 1);
      }
    },
  });
  new Gauge({
    name: `${prefix}leading`,
    help: '1 while this operator is the leader',
    registers,
    collect() {
      this.set(gauges.isLeading() ? 1 : 0);
    },
  });
  return {
    registry,
    reconciled: (kind, result) => reconciles.inc({ kind, result }),
    waited: (seconds) => waits.observe(seconds),
    called: (verb, resource, status) => calls.inc({ verb, resource, status: `${status}` }),
    watchRestarted: (resource) => restarts.inc({ resource }),
  };
}
