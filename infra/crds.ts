/** The CustomResourceDefinitions and the roles of their users, as a construct. */
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';

import { customResourceDefinitions } from '../crds/manifest.ts';
import { clusterScoped } from './cluster-scoped.ts';
import { addUserRoles } from './user-roles.ts';

/** Properties of {@link HydrogenCrds}. */
export interface HydrogenCrdsProps {
  /**
   * Whether the cluster's own roles `view`, `edit` and `admin` get the rules of `hydrogen-view` and `hydrogen-edit`. False:
   * nobody has a right on the custom resources until a RoleBinding gives one of the two. @default true
   */
  readonly aggregateRoles?: boolean;
}

/**
 * The definitions of HydrogenGroup, HydrogenGateway and HydrogenMessageProcessor, and the ClusterRoles `hydrogen-view` and
 * `hydrogen-edit` for their users. Give them a chart of their own: they are applied before everything else, and stay when an
 * app is removed.
 */
export class HydrogenCrds extends Construct {
  constructor(scope: Construct, id: string, { aggregateRoles = true }: HydrogenCrdsProps = {}) {
    super(scope, id);
    for (const { metadata, ...definition } of customResourceDefinitions()) {
      const { name, labels, annotations } = metadata;
      clusterScoped(new ApiObject(this, name, { ...definition, metadata: { name, labels, annotations } }));
    }
    addUserRoles(this, aggregateRoles);
  }
}
