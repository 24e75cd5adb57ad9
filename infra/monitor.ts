/** The ServiceMonitor of the Prometheus operator. */
import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';

import { probePaths } from '../crds/contract.ts';
import { type Identity, type Labels, metadataOf, selectorOf } from './labels.ts';

/** How Prometheus finds the metrics. */
export interface ServiceMonitorOptions {
  /** Labels by which the Prometheus object selects monitors. @default - only those of every object */
  readonly labels?: Labels;
  /** Seconds between two scrapes. @default 30 */
  readonly intervalSeconds?: number;
}

/** The service port that metrics are scraped from. */
export const metricsPortName = 'metrics';

/** Label of the one service of a workload that has the metrics port. */
export const metricsLabel: Labels = { 'hydrogen.dev/metrics': 'true' };

/** Adds the monitor. */
export function addServiceMonitor(
  scope: Construct,
  identity: Identity,
  name: string,
  { labels = {}, intervalSeconds = 30 }: ServiceMonitorOptions,
): void {
  const metadata = metadataOf(identity, name);
  new ApiObject(scope, 'ServiceMonitor', {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: { ...metadata, labels: { ...labels, ...metadata.labels } },
    spec: {
      selector: { matchLabels: { ...selectorOf(identity), ...metricsLabel } },
      endpoints: [{ port: metricsPortName, path: probePaths.metrics, interval: `${intervalSeconds}s` }],
    },
  });
}
