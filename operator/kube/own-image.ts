/** The image of this operator: pods whose document names none get the same one, from whichever registry it came. */
import { setTimeout as delay } from 'node:timers/promises';

import type { Kube } from './client.ts';
import { podType } from './objects.ts';

export interface OwnImageOptions {
  readonly kube: Pick<Kube, 'get'>;
  /** This operator's pod. */
  readonly namespace: string;
  readonly pod: string;
  /** Name of our container; others may have been added to the pod. */
  readonly container: string;
  /** The pod could not be read. */
  readonly onFailure: (error: unknown) => void;
  /** Ends the wait for an API server that does not answer. */
  readonly signal: AbortSignal;
  /** @default 1000 */
  readonly retryMs?: number;
}

interface PodSpec {
  readonly containers?: readonly { readonly name: string; readonly image?: string }[];
}

/**
 * Undefined: there is no such pod or container. Waits until the API server answers, and also while it forbids it: a server
 * that has just started does so for a moment, and any other image than ours may be one that no node can pull.
 */
export async function ownImage(options: OwnImageOptions): Promise<string | undefined> {
  const { kube, namespace, pod, container, onFailure, signal, retryMs = 1000 } = options;
  while (!signal.aborted) {
    try {
      const { containers = [] } = ((await kube.get(podType, namespace, pod))?.spec ?? {}) as PodSpec;
      return containers.find(({ name }) => name === container)?.image;
    } catch (error) {
      onFailure(error);
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}
