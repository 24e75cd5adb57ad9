/** `hydrogen describe group/NAME`: the status of a group, its members and their pods as a tree. */

import { defaultNamespace } from '../crds/contract.ts';
import { drawGroup, readGroups } from '../operator/status/describe.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { connectKube } from './kube.ts';
import { type Format, formatted, judged, whileWaiting } from './output.ts';

export interface ClusterCommandOptions {
  /** @default - that of the context, else `default` */
  readonly namespace?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  /** For a program. @default - text for a person */
  readonly output?: Format;
}

/** The tree. @throws {HydrogenError} HYD_CONFIG_INVALID when there is no such group or no cluster */
export async function describe(target: string, options: ClusterCommandOptions): Promise<string> {
  const [kind, name, ...rest] = target.split('/');
  if (!['group', 'hgrp', 'hydrogengroup'].includes(kind?.toLowerCase() ?? '') || !name || rest.length > 0) {
    throw new HydrogenError('HYD_CONFIG_INVALID', `${target}: describe takes group/NAME`);
  }
  const kube = connectKube(options);
  const namespace = options.namespace ?? kube.namespace ?? defaultNamespace;
  try {
    const groups = await whileWaiting(`the cluster at ${kube.server}`, readGroups(kube, namespace));
    const group = groups.find((one) => one.name === name);
    if (group === undefined) {
      throw new HydrogenError('HYD_CONFIG_INVALID', `there is no HydrogenGroup ${name} in namespace ${namespace}`);
    }
    return options.output === undefined ? drawGroup(group, judged) : formatted(group, options.output);
  } finally {
    kube.close();
  }
}
