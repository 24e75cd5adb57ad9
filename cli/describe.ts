/** `hydrogen describe group/NAME`: the status of a group, its members and their pods as a tree. */

import { describeGroup } from '../operator/status/describe.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { connectKube } from './kube.ts';

export interface DescribeOptions {
  readonly namespace: string;
  readonly kubeconfig?: string;
}

/** The tree. @throws {HydrogenError} HYD_CONFIG_INVALID when there is no such group or no cluster */
export async function describe(target: string, { namespace, kubeconfig }: DescribeOptions): Promise<string> {
  const [kind, name, ...rest] = target.split('/');
  if (!['group', 'hgrp', 'hydrogengroup'].includes(kind?.toLowerCase() ?? '') || !name || rest.length > 0) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `${target}: describe takes group/NAME`);
  }
  const kube = connectKube(kubeconfig);
  try {
    const tree = await describeGroup(kube, namespace, name);
    if (tree !== undefined) return tree;
    throw new HydrogenError('HYD_CONFIG_INVALID', `there is no HydrogenGroup ${name} in namespace ${namespace}`);
  } finally {
    kube.close();
  }
}
