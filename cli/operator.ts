/** `hydrogen operator`: reconciles the custom resources of a cluster, from inside it or from a laptop. */

import { hostname } from 'node:os';

import { defaultOperatorNamespace } from '../infra/index.ts';
import { operatorContainer } from '../infra/operator.ts';
import { operatorLease } from '../infra/operator-rbac.ts';
import type { RolloutLimit } from '../operator/children/rollouts.ts';
import type { Kube } from '../operator/kube/client.ts';
import { ownImage } from '../operator/kube/own-image.ts';
import { createOperatorLog, type OperatorLog } from '../operator/log.ts';
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
  /** Context of the kubeconfig. */
  readonly context?: string;
  /** Folder of the pod's token and certificate authority. */
  readonly serviceAccount?: string;
  /** Image of pods whose document names none. @default - that of the operator's own pod, else that of this release */
  readonly image?: string;
  /** Image of managed NATS servers. @default - that of this release */
  readonly natsImage?: string;
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
    rollouts: () => operator?.rollouts ?? { running: 0, waiting: 0, holders: [] },
  });
  const kube = connectKube({
    kubeconfig: options.kubeconfig,
    context: options.context,
    serviceAccount: options.serviceAccount,
    onWarning: (warning) => log.warned({ warning }),
    onCall: metrics.called,
  });
  const probes = new ProbeServer({
    registry: metrics.registry,
    notReadyReason: () =>
      operator === undefined
        ? 'it has not read the image of its own pod yet; see the log, or set --image'
        : operator.notReadyReason,
  });
  await probes.listen(options.probePort, options.host);
  log.started({ version: options.version, server: kube.server, namespace: options.namespace ?? '*', identity });
  const image = options.image ?? (await imageOfPod(kube, log, stopped));
  const namespace = options.leaseNamespace ?? process.env.POD_NAMESPACE ?? defaultOperatorNamespace;
  operator = new Operator({
    kube,
    log,
    metrics,
    namespace: options.namespace,
    image,
    natsImage: options.natsImage,
    rolloutLimit: options.maxConcurrentRollouts,
    instance: process.env.POD_NAME ?? hostname(),
    lease: options.leaderElect ? { namespace, name: operatorLease, identity } : undefined,
    onLost: () => lost.resolve('lost lease'),
  });
  const running = operator;
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

/** The image of the pod that this process runs in; undefined: it runs in none, or may not read it. */
async function imageOfPod(kube: Kube, log: OperatorLog, stopped: Promise<string>): Promise<string | undefined> {
  const { POD_NAME: pod, POD_NAMESPACE: namespace } = process.env;
  if (pod === undefined || namespace === undefined) return undefined;
  const stopping = new AbortController();
  void stopped.then(() => stopping.abort());
  return ownImage({
    kube,
    namespace,
    pod,
    container: operatorContainer,
    onFailure: (err) => log.ownImageUnknown({ err }),
    signal: stopping.signal,
  });
}
