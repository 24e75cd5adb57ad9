/** The custom resources as constructs, for clusters with the operator: typed, and checked when the app runs. */
import { ApiObject, type ApiObjectMetadata } from 'cdk8s';
import type { Construct } from 'constructs';

import { apiVersion } from '../crds/contract.ts';
import type { Kind } from '../crds/resources.ts';
import type { HydrogenGatewaySpecInput } from '../crds/types/gateway.ts';
import type { HydrogenGroupSpecInput } from '../crds/types/group.ts';
import type { HydrogenMessageProcessorSpecInput } from '../crds/types/processor.ts';
import { documentOf } from './documents.ts';
import { namespaceOf } from './member.ts';

/** Metadata of a custom resource. Its name is required, because other objects refer to it. */
export interface ResourceMetadata extends ApiObjectMetadata {
  /** Name of the object. */
  readonly name: string;
}

/** Properties of a custom resource. */
export interface ResourceProps<Spec> {
  readonly metadata: ResourceMetadata;
  /** `spec` as a user writes it; the API server adds defaults. */
  readonly spec: Spec;
}

/** A HydrogenGroup for the operator. @throws InvalidDocuments with every problem. */
export class HydrogenGroupResource extends ApiObject {
  constructor(scope: Construct, id: string, props: ResourceProps<HydrogenGroupSpecInput>) {
    super(scope, id, manifest(scope, 'HydrogenGroup', props));
  }
}

/** A HydrogenGateway for the operator. @throws InvalidDocuments with every problem. */
export class HydrogenGatewayResource extends ApiObject {
  constructor(scope: Construct, id: string, props: ResourceProps<HydrogenGatewaySpecInput>) {
    super(scope, id, manifest(scope, 'HydrogenGateway', props));
  }
}

/** A HydrogenMessageProcessor for the operator. @throws InvalidDocuments with every problem. */
export class HydrogenMessageProcessorResource extends ApiObject {
  constructor(scope: Construct, id: string, props: ResourceProps<HydrogenMessageProcessorSpecInput>) {
    super(scope, id, manifest(scope, 'HydrogenMessageProcessor', props));
  }
}

function manifest<Spec>(scope: Construct, kind: Kind, { metadata, spec }: ResourceProps<Spec>) {
  const { name, namespace = namespaceOf(scope) } = metadata;
  documentOf(kind, { name, namespace }, spec);
  return { apiVersion, kind, metadata, spec };
}
