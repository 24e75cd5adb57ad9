/**
 * The cluster of the pod that this process runs in: two environment variables and the files of its service account, see
 * https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/. The kubelet renews the token in place.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Cluster } from './cluster.ts';

/** Folder with a pod's token and certificate authority. */
const defaultFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterOptions {
  /** Folder with `token` and `ca.crt`. @default '/var/run/secrets/kubernetes.io/serviceaccount' */
  readonly serviceAccount?: string | undefined;
}

/** Undefined outside a pod, and in a pod without a token. */
export function findInCluster({ serviceAccount = defaultFolder }: InClusterOptions = {}): Cluster | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = process.env;
  const tokenFile = join(serviceAccount, 'token');
  if (!host || !existsSync(tokenFile)) return undefined;
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    credentials: async () => {
      const [token, ca] = await Promise.all([
        readFile(tokenFile, 'utf8'),
        readFile(join(serviceAccount, 'ca.crt'), 'utf8'),
      ]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
  };
}
