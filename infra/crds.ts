/** The CustomResourceDefinitions, as a construct. */
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';

import { customResourceDefinitions } from '../crds/manifest.ts';
import { clusterScoped } from './cluster-scoped.ts';

/**
 * The definitions of HydrogenGroup, HydrogenGateway and HydrogenMessageProcessor. Give them a chart of their own:
 * they are applied before everything else, and stay when an app is removed.
 */
export class HydrogenCrds extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    for (const { metadata, ...definition } of customResourceDefinitions()) {
      const { name, labels, annotations } = metadata;
      clusterScoped(new ApiObject(this, name, { ...definition, metadata: { name, labels, annotations } }));
    }
  }
}
