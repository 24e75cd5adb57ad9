/** A group in a cluster: its managed NATS servers, if any. */
import { Construct } from 'constructs';

import type { HydrogenGroup as ParsedGroup } from '../crds/resources.ts';
import type { HydrogenGroupSpecInput } from '../crds/types/group.ts';
import { documentOf } from './documents.ts';
import { namespaceOf } from './member.ts';
import { addNats } from './nats.ts';

/** Properties of {@link HydrogenGroup}. */
export interface HydrogenGroupProps {
  /** Name of the group. */
  readonly name: string;
  /** Namespace of the group and of all its members. @default - that of the chart, else `default` */
  readonly namespace?: string;
  /** `spec` of the custom resource. */
  readonly spec: HydrogenGroupSpecInput;
  /** Image of the NATS servers of a group with `nats.managed`. @default - that of this release */
  readonly natsImage?: string;
}

/**
 * A group. With `nats.servers` it emits nothing; only its members use it. With `nats.managed` it emits a stateful set of
 * NATS servers and the objects that go with it.
 */
export class HydrogenGroup extends Construct {
  /** The checked document, with defaults. */
  readonly document: ParsedGroup;
  /** Name of the group. */
  readonly name: string;
  /** Namespace of the group and of all its members. */
  readonly namespace: string;

  /** @throws InvalidDocuments with every problem of the spec. */
  constructor(scope: Construct, id: string, props: HydrogenGroupProps) {
    super(scope, id);
    const { name, namespace = namespaceOf(scope), spec, natsImage } = props;
    this.document = documentOf('HydrogenGroup', { name, namespace }, spec);
    this.name = name;
    this.namespace = namespace;
    const { managed } = this.document.spec.nats;
    if (managed) addNats(this, this.document, managed, natsImage);
  }
}
