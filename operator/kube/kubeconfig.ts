/**
 * The only file that imports @kubernetes/client-node, which reads kubeconfigs and supports all their authentication
 * methods. Its API calls are not used: it opens a TLS connection for each of them and drops fields that it does not know.
 */
import type { Agent, RequestOptions } from 'node:https';
import { createRequire } from 'node:module';

import type { Cluster } from './cluster.ts';

/**
 * The cluster of the current context. @param path undefined: the kubeconfig that client-node finds by itself. @throws
 * when there is none
 */
export function findByKubeconfig(path: string | undefined): Cluster {
  // It loads 90 MB of generated code, which a pod never needs.
  const load = createRequire(import.meta.url);
  const { KubeConfig } = load('@kubernetes/client-node') as typeof import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (path !== undefined) config.loadFromFile(path);
  else config.loadFromDefault();
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error('the kubeconfig has no current cluster');
  const isProxied = cluster.proxyUrl !== undefined;
  return {
    server: new URL(cluster.server),
    credentials: async () => {
      // Fills in headers and TLS material; the parameter has the type of any HTTPS request.
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = options;
      return {
        headers: Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, `${value}`])),
        auth: options.auth ?? undefined,
        tls: { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized },
        agent: isProxied ? (options.agent as Agent) : undefined,
      };
    },
  };
}
