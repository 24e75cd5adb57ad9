/** The config map with the documents that a pod reads. */
import { basename } from 'node:path/posix';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { paths } from '../crds/contract.ts';
import { type Identity, metadataOf } from './labels.ts';

/** Adds the config map; running pods pick up changes to it within a minute or so. */
export function addConfigMap(scope: Construct, identity: Identity, name: string, text: string): void {
  new k8s.KubeConfigMap(scope, 'ConfigMap', {
    metadata: metadataOf(identity, name),
    data: { [basename(paths.config)]: text },
  });
}
