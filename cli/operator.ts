/** `hydrogen operator`: reconciles the custom resources of a cluster, from inside it or from a laptop. */

import { hostname } from 'node:os';

import { defaultOperatorNamespace } from '../infra/index.ts';
import type { RolloutLimit } from '../operator/children/rollouts.ts';
import { createOperatorLog } from '../operator/log.ts';
import { createOperatorMetrics } from '../operator/metrics.ts';
import { Operator } from '../operator/operator.ts';
import { createLogger, type LogLevel } from '../process/logger.ts';
import { ProbeServer } from '../process/probes.ts';
import { untilStopped } from '../process/signals.ts';
import { connectKube } from './kube.ts';

export interface OperatorCommandOptions {
  /** The one namespace that it reconciles. */
  readonly namespace?: string;
  readonly kubeconfig?: string;
  /** Folder of the pod's token and certificate authority. */
  readonly serviceAccount?: string;
  /** Image of pods whose document names none. */
  readonly image?: string;
  /** How many workloads get the image of this release at once. */
  readonly maxConcurrentRollouts: RolloutLimit;
  readonly leaderElect: boolean;
  /** Namespace of the lease. */
  readonly leaseNamespace?: string;
  readonly probePort: number;
  readonly host?: string;
  readonly logLevel: LogLevel;
  readonly version: string;
}

const leaseName = 'hydrogen-operator';

/** @throws {HydrogenError} HYD_CONFIG_INVALID when there is no cluster to talk to */
export async function runOperator(options: OperatorCommandOptions): Promise<void> {
  const stopped = untilStopped();
  const log = createOperatorLog(createLogger({ level: options.logLevel }));
  const lost = Promise.withResolvers<string>();
  const identity = `${process.env.POD_NAME ?? hostname()}_${process.pid}_${Date.now().toString(36)}`;
  let operator: Operator | undefined;
  const metrics = createOperatorMetrics({
    queueDepth: () => operator?.queueDepth ?? 0,
    isLeading: () => operator?.isLeading ?? false,
    rollouts: () => operator?.rollouts ?? { running: 0, waiting: 0 },
  });
  const kube = connectKube(options.kubeconfig, {
    serviceAccount: options.serviceAccount,
    onWarning: (warning) => log.warned({ warning }),
    onCall: metrics.called,
  });
  const namespace = options.leaseNamespace ?? process.env.POD_NAMESPACE ?? defaultOperatorNamespace;
  operator = new Operator({
    kube,
    log,
    metrics,
    namespace: options.namespace,
    image: options.image,
    rolloutLimit: options.maxConcurrentRollouts,
    instance: process.env.POD_NAME ?? hostname(),
    lease: options.leaderElect ? { namespace, name: leaseName, identity } : undefined,
    onLost: () => lost.resolve('lost lease'),
  });
  const running = operator;
  const probes = new ProbeServer({
    registry: metrics.registry,
    notReadyReason: () => (running.isReady ? undefined : 'not every resource has been listed yet'),
  });
  await probes.listen(options.probePort, options.host);
  log.started({ version: options.version, server: kube.server, namespace: options.namespace ?? '*', identity });
  running.start();
  const signal = await Promise.race([stopped, lost.promise]);
  log.stopping({ signal });
  // Another operator may lead by now, so writes that are under way are cut off.
  if (signal === 'lost lease') kube.close();
  await running.stop();
  await probes.stop();
  kube.close();
  log.stopped();
  if (signal === 'lost lease') process.exitCode = 1;
}
