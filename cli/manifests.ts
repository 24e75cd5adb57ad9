/** `hydrogen manifests`: what a cluster needs before the first custom resource. */

import { crdObjects, defaultOperatorNamespace, operatorObjects, toYaml } from '../infra/index.ts';

export interface ManifestsOptions {
  /** Namespace of the operator. */
  readonly namespace?: string;
  /** Image of the operator, and of pods whose document names none. */
  readonly image?: string;
  /** Image of managed NATS servers. */
  readonly natsImage?: string;
  readonly crdsOnly?: boolean;
  /** The only namespace that the operator reconciles. */
  readonly watchNamespace?: string;
  /** False: the operator gets no access to secrets. */
  readonly readSecrets?: boolean;
  /** False: the cluster's own roles get no rights on the custom resources. */
  readonly aggregateRoles?: boolean;
}

/** YAML for kubectl: the same objects as in dist/install.yaml, or dist/crds.yaml. */
export function manifests(options: ManifestsOptions): string {
  const { namespace = defaultOperatorNamespace, crdsOnly = false, image, natsImage } = options;
  const { watchNamespace, readSecrets, aggregateRoles } = options;
  const crds = crdObjects(aggregateRoles === undefined ? {} : { aggregateRoles });
  if (crdsOnly) return toYaml(crds);
  const props = {
    namespace,
    ...(image !== undefined && { image }),
    ...(natsImage !== undefined && { natsImage }),
    ...(watchNamespace !== undefined && { watchNamespace }),
    ...(readSecrets !== undefined && { readSecrets }),
  };
  return toYaml([...crds, ...operatorObjects(props)]);
}
