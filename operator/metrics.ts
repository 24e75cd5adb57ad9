/** What the operator counts, for Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

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
  rollouts(): { readonly running: number; readonly waiting: number };
}

export function createOperatorMetrics(gauges: OperatorGauges): OperatorMetrics {
  const registry = new Registry();
  const registers = [registry];
  const prefix = 'hydrogen_operator_';
  collectDefaultMetrics({ register: registry });
  const reconciles = new Counter({
    name: `${prefix}reconciles_total`,
    help: 'Objects looked after, by kind and result',
    labelNames: ['kind', 'result'],
    registers,
  });
  const waits = new Histogram({
    name: `${prefix}queue_wait_seconds`,
    help: 'Time that a due object waited for a worker',
    buckets: [0.001, 0.01, 0.1, 1, 10, 60],
    registers,
  });
  const calls = new Counter({
    name: `${prefix}api_calls_total`,
    help: 'Calls of the API server, by verb, resource and status; 0 is no answer',
    labelNames: ['verb', 'resource', 'status'],
    registers,
  });
  const restarts = new Counter({
    name: `${prefix}watch_failures_total`,
    help: 'Lists and watches that failed and were begun again',
    labelNames: ['resource'],
    registers,
  });
  new Gauge({
    name: `${prefix}queue_depth`,
    help: 'Objects that are due and wait for a worker',
    registers,
    collect() {
      this.set(gauges.queueDepth());
    },
  });
  new Gauge({
    name: `${prefix}rollouts`,
    help: 'Workloads that get the image of this release, by state: running or waiting',
    labelNames: ['state'],
    registers,
    collect() {
      const { running, waiting } = gauges.rollouts();
      this.set({ state: 'running' }, running);
      this.set({ state: 'waiting' }, waiting);
    },
  });
  new Gauge({
    name: `${prefix}leading`,
    help: '1 while this operator is the one that acts',
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
