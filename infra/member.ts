/** What gateways and message processors have in common: a group, a name, and pods that others may select. */
import { Chart } from 'cdk8s';
import { Construct } from 'constructs';

import { defaultNamespace } from '../crds/contract.ts';
import { InvalidDocuments } from '../crds/invalid.ts';
import type { HydrogenGroupInput, HydrogenGroup as ParsedGroup } from '../crds/resources.ts';
import { documentOf } from './documents.ts';
import type { Labels } from './labels.ts';
import type { ServiceMonitorOptions } from './monitor.ts';
import { type PodSelection, podsWith, type SelectsPods } from './pod-selection.ts';

/** The group of a member: the construct, or a document of a group that is created elsewhere. */
export type GroupSource = { readonly document: ParsedGroup } | HydrogenGroupInput;

/** Properties that gateways and message processors share. */
export interface MemberProps {
  /** Name of the object; every emitted name is derived from it. */
  readonly name: string;
  /** Namespace; it must be that of the group. @default - that of the group */
  readonly namespace?: string;
  /** The group that it belongs to. */
  readonly group: GroupSource;
  /** Image when `spec.template.image` is absent. @default - the image of this release */
  readonly image?: string;
  /** Adds a ServiceMonitor of the Prometheus operator. @default - none */
  readonly serviceMonitor?: ServiceMonitorOptions;
}

/** A construct whose pods can be selected, for example by network policies of cdk8s-plus, in any version. */
export abstract class HydrogenMember extends Construct implements SelectsPods {
  /** Name of the object. */
  readonly name: string;
  /** Namespace of everything that it emits. */
  readonly namespace: string;

  constructor(scope: Construct, id: string, name: string, namespace: string) {
    super(scope, id);
    this.name = name;
    this.namespace = namespace;
  }

  /** Labels that select its pods. They do not depend on the construct's place in the app. */
  abstract get selector(): Labels;

  toPodSelectorConfig(): PodSelection {
    return podsWith(this.selector, this.namespace);
  }

  toPodSelector(): SelectsPods {
    return this;
  }

  toNetworkPolicyPeerConfig(): { readonly podSelector: PodSelection } {
    return { podSelector: this.toPodSelectorConfig() };
  }
}

/** The namespace of objects in `scope` that specify none. */
export function namespaceOf(scope: Construct): string {
  return Chart.of(scope).namespace ?? defaultNamespace;
}

/** The checked group from a source. @throws InvalidDocuments */
export function groupOf(source: GroupSource): ParsedGroup {
  return 'document' in source ? source.document : documentOf('HydrogenGroup', source.metadata, source.spec);
}

/**
 * Checks that a member is in its group's namespace and refers to that group.
 * @throws InvalidDocuments
 */
export function assertMembership(
  member: { kind: string; metadata: { name: string; namespace: string }; spec: { groupRef: { name: string } } },
  { metadata }: ParsedGroup,
): void {
  const object = `${member.kind}/${member.metadata.name}`;
  if (member.spec.groupRef.name !== metadata.name) {
    const message = `must be the name of the given group, ${metadata.name}, is ${member.spec.groupRef.name}`;
    throw new InvalidDocuments([{ object, path: 'spec.groupRef.name', message }]);
  }
  if (member.metadata.namespace !== metadata.namespace) {
    const message = `must be that of its group, ${metadata.namespace}, is ${member.metadata.namespace}`;
    throw new InvalidDocuments([{ object, path: 'metadata.namespace', message }]);
  }
}
