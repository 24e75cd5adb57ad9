/** Which cluster is talked to: the one that was named, else that of the pod, else that of the user's kubeconfig. */

import type { Agent, AgentOptions } from 'node:https';

import { findInCluster, type InClusterOptions } from './in-cluster.ts';
import { findByKubeconfig } from './kubeconfig.ts';

/** A server, and who we are to it. */
export interface Cluster {
  readonly server: URL;
  /** Credentials as they are now. @throws when they cannot be read */
  identify(): Promise<Identity>;
}

/** What a request carries and how its connection is made. */
export interface Identity {
  readonly headers: Readonly<Record<string, string>>;
  /** Name and password, as `name:password`. */
  readonly auth?: string | undefined;
  readonly tls: TlsSettings;
  /** The agent that a proxy needs, instead of one of our own. */
  readonly agent?: Agent | undefined;
}

/** Certificates, and whom to trust. */
export type TlsSettings = Pick<
  AgentOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'
>;

export interface ClusterOptions extends InClusterOptions {
  /** @default - that of KUBECONFIG, else the pod's service account, else ~/.kube/config */
  readonly kubeconfig?: string | undefined;
}

/** @throws when there is no usable configuration */
export function findCluster({ kubeconfig, serviceAccount }: ClusterOptions): Cluster {
  const isNamed = kubeconfig !== undefined || (serviceAccount === undefined && Boolean(process.env.KUBECONFIG));
  const own = isNamed ? undefined : findInCluster({ serviceAccount });
  if (own !== undefined) return own;
  if (serviceAccount !== undefined && !isNamed) {
    throw new Error(`KUBERNETES_SERVICE_HOST is not set or ${serviceAccount} holds no token`);
  }
  return findByKubeconfig(kubeconfig);
}
