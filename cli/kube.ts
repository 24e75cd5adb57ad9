/** The cluster that a command talks to. */

import { createKube, type Kube, type KubeOptions } from '../operator/kube/client.ts';
import { HydrogenError } from '../runtime/errors.ts';

/** @throws {HydrogenError} HYD_CONFIG_INVALID when there is no usable configuration */
export function connectKube(options: KubeOptions): Kube {
  try {
    return createKube(options);
  } catch (cause) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `no cluster: ${(cause as Error).message}`, { cause });
  }
}
