/** The cluster that a command talks to. */

import { readFileSync } from 'node:fs';

import { createKube, type Kube, type KubeOptions } from '../operator/kube/client.ts';
import { HydrogenError } from '../runtime/errors.ts';

/** @throws {HydrogenError} HYD_CONFIG_INVALID when there is no usable configuration */
export function connectKube(kubeconfig: string | undefined, options: Omit<KubeOptions, 'kubeconfig'> = {}): Kube {
  try {
    if (kubeconfig !== undefined) readFileSync(kubeconfig);
    return createKube({ kubeconfig, ...options });
  } catch (cause) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `no cluster: ${(cause as Error).message}`, { cause });
  }
}
