/** Where the doctor runs: names of services in a cluster resolve in its pods, and nowhere else. */

import { isIP } from 'node:net';

/** The member of a group whose pods can look at something. */
export interface Vantage {
  readonly namespace: string;
  /** `deploy/chat-gateway`. */
  readonly workload: string;
}

/** True in a pod: the kubelet sets the address of the API server. */
export function isInCluster(): boolean {
  return process.env.KUBERNETES_SERVICE_HOST !== undefined;
}

/**
 * True for a name that may be that of a service in a cluster: `chat`, `chat.shop`, `chat.shop.svc` and so on. A name of two
 * parts may as well be public.
 */
export function isClusterName(host: string): boolean {
  const name = host.replace(/\.$/, '');
  if (isIP(name) !== 0 || name.startsWith('[') || name === 'localhost') return false;
  if (/\.svc(\.|$)/.test(name) || name.endsWith('.cluster.local')) return true;
  return name.split('.').length <= 2 && !name.endsWith('.invalid');
}

/** How to look from inside of the cluster, as a member does. */
export function insideAdvice({ namespace, workload }: Vantage): string {
  return `look from a pod that uses it: kubectl -n ${namespace} exec ${workload} -- node cli/hydrogen.js doctor`;
}

/** How to look from inside of the cluster while a group has no pods. */
export const beforePods =
  'Before there are pods: kubectl -n NAMESPACE run hydrogen-doctor --image=IMAGE --restart=Never --rm -i -- doctor -f - < FILE';
