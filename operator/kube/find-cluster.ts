/** Chooses the cluster: the one that was specified, else that of the pod, else that of the user's kubeconfig. */
import type { Cluster } from './cluster.ts';
import { findInCluster, type InClusterOptions } from './in-cluster.ts';
import { findByKubeconfig, type KubeconfigOptions } from './kubeconfig.ts';

/** Without a kubeconfig or context: that of KUBECONFIG, else the pod's service account, else ~/.kube/config. */
export type ClusterOptions = InClusterOptions & KubeconfigOptions;

/** @throws when there is no usable configuration */
export function findCluster({ kubeconfig, context, serviceAccount }: ClusterOptions): Cluster {
  const isNamed =
    kubeconfig !== undefined ||
    context !== undefined ||
    (serviceAccount === undefined && Boolean(process.env.KUBECONFIG));
  const own = isNamed ? undefined : findInCluster({ serviceAccount });
  if (own !== undefined) return own;
  if (serviceAccount !== undefined && !isNamed) {
    throw new Error(`KUBERNETES_SERVICE_HOST is not set or ${serviceAccount} contains no token`);
  }
  return findByKubeconfig({ kubeconfig, context });
}
