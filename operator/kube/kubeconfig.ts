/**
 * Reads kubeconfigs with @kubernetes/client-node, which supports all their authentication methods. Its API calls are not
 * used: it opens a TLS connection for each of them and drops fields that it does not know.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Agent, RequestOptions } from 'node:https';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';

import type { Cluster } from './cluster.ts';
import { messageOf } from './errors.ts';

export interface KubeconfigOptions {
  /** Path of the file. @default - the files in KUBECONFIG, else ~/.kube/config */
  readonly kubeconfig?: string | undefined;
  /** Name of the context. @default - the current one */
  readonly context?: string | undefined;
}

/** The user of a context that names none. */
const anonymous = 'system:anonymous';

/** The cluster of a context. @throws an Error whose message names the file and what is wrong with it */
export function findByKubeconfig({ kubeconfig, context }: KubeconfigOptions): Cluster {
  const files = kubeconfig === undefined ? filesOfUser() : [kubeconfig];
  const source = files.join(delimiter);
  const config = load(files, source);
  if (context !== undefined) config.setCurrentContext(context);
  const chosen = config.getContextObject(config.getCurrentContext());
  const names = config.getContexts().map(({ name }) => name);
  if (!chosen) throw new Error(noContext(source, config.getCurrentContext(), names));
  const cluster = config.getCurrentCluster();
  if (!cluster)
    throw new Error(`${source}: context ${chosen.name} names the cluster ${chosen.cluster}, which is absent`);
  const user = config.getCurrentUser();
  if (!user && chosen.user)
    throw new Error(`${source}: context ${chosen.name} names the user ${chosen.user}, who is absent`);
  const isProxied = cluster.proxyUrl !== undefined;
  const server = serverOf(cluster.server, `${source}: the server of cluster ${cluster.name}`);
  // Of a context without a user the package takes nothing, not even the certificate of the cluster; and it takes a server
  // without TLS, such as `kubectl proxy`, only from who wants no TLS verified.
  config.loadFromOptions({
    contexts: [{ ...chosen, user: user?.name ?? anonymous }],
    clusters: [{ ...cluster, skipTLSVerify: cluster.skipTLSVerify || server.protocol === 'http:' }],
    users: [user ?? { name: anonymous }],
    currentContext: chosen.name,
  });
  return {
    server,
    namespace: chosen.namespace,
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

/** As kubectl finds them; of several, those that are absent are left out. */
function filesOfUser(): string[] {
  const named = (process.env.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '');
  if (named.length === 1) return named;
  const files = (named.length === 0 ? [join(homedir(), '.kube/config')] : named).filter((file) => existsSync(file));
  if (files.length > 0) return files;
  throw new Error(`there is no kubeconfig: ${named.join(', ') || '~/.kube/config'} does not exist; set KUBECONFIG`);
}

function load(files: readonly string[], source: string): KubeConfig {
  try {
    for (const file of files) readFileSync(file);
    // It loads 90 MB of generated code, which a pod never needs.
    const require = createRequire(import.meta.url);
    const { KubeConfig } = require('@kubernetes/client-node') as typeof import('@kubernetes/client-node');
    const config = new KubeConfig();
    for (const [index, file] of files.entries()) {
      if (index === 0) config.loadFromFile(file);
      else mergeFile(config, new KubeConfig(), file);
    }
    return config;
  } catch (cause) {
    const [reason = ''] = messageOf(cause).split('\n');
    throw new Error(`${source} is not a kubeconfig: ${reason}`, { cause });
  }
}

function mergeFile(config: KubeConfig, other: KubeConfig, file: string): void {
  other.loadFromFile(file);
  config.mergeConfig(other, Boolean(config.currentContext)); // the first file that has a current context decides
}

function noContext(source: string, name: string | undefined, names: readonly string[]): string {
  const known = names.length === 0 ? 'it has no contexts' : `it has ${names.join(', ')}`;
  return name ? `${source} has no context ${name}; ${known}` : `${source} has no current context; ${known}`;
}

function serverOf(url: string, what: string): URL {
  const server = URL.canParse(url) ? new URL(url) : undefined;
  if (server !== undefined && /^https?:$/.test(server.protocol)) return server;
  throw new Error(`${what} must be an https:// URL, is ${url}`);
}
