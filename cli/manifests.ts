/** `hydrogen manifests`: what a cluster needs before the first custom resource. */

import { crdObjects, defaultOperatorNamespace, operatorObjects, toYaml } from '../infra/index.ts';

export interface ManifestsOptions {
  /** Namespace of the operator. */
  readonly namespace?: string;
  readonly image?: string;
  readonly crdsOnly?: boolean;
}

/** YAML for kubectl: the same objects as in dist/install.yaml, or dist/crds.yaml. */
export function manifests({ namespace = defaultOperatorNamespace, image, crdsOnly = false }: ManifestsOptions): string {
  if (crdsOnly) return toYaml(crdObjects());
  return toYaml([...crdObjects(), ...operatorObjects({ namespace, ...(image === undefined ? {} : { image }) })]);
}
