/** Matches gateways and message processors with the group that they refer to. */
import { duplicates } from './documents.ts';
import { type DocumentIssue, InvalidDocuments } from './invalid.ts';
import type { HydrogenGateway, HydrogenGroup, HydrogenMessageProcessor, Resource } from './resources.ts';

/** The objects of an app, each with its group. */
export interface ResolvedGroups {
  readonly groups: readonly HydrogenGroup[];
  readonly gateways: readonly { readonly gateway: HydrogenGateway; readonly group: HydrogenGroup }[];
  readonly processors: readonly { readonly processor: HydrogenMessageProcessor; readonly group: HydrogenGroup }[];
}

/**
 * The objects by kind, in their original order, each gateway and processor with its group, which is in the same namespace.
 * @throws InvalidDocuments when a group is missing or an object occurs twice.
 */
export function resolveGroups(resources: readonly Resource[]): ResolvedGroups {
  const issues = duplicates(resources.map((resource) => ({ resource, origin: {} })));
  const groups = resources.filter((resource) => resource.kind === 'HydrogenGroup');
  const groupOf = (member: HydrogenGateway | HydrogenMessageProcessor): HydrogenGroup[] => {
    const group = groups.find(
      ({ metadata }) => metadata.name === member.spec.groupRef.name && metadata.namespace === member.metadata.namespace,
    );
    if (group === undefined) issues.push(missingGroup(member, groups));
    return group === undefined ? [] : [group];
  };
  const gateways = resources
    .filter((resource) => resource.kind === 'HydrogenGateway')
    .flatMap((gateway) => groupOf(gateway).map((group) => ({ gateway, group })));
  const processors = resources
    .filter((resource) => resource.kind === 'HydrogenMessageProcessor')
    .flatMap((processor) => groupOf(processor).map((group) => ({ processor, group })));
  if (issues.length > 0) throw new InvalidDocuments(issues);
  return { groups, gateways, processors };
}

function missingGroup(
  { kind, metadata, spec }: HydrogenGateway | HydrogenMessageProcessor,
  groups: readonly HydrogenGroup[],
): DocumentIssue {
  const known = groups.map((group) => `${group.metadata.namespace}/${group.metadata.name}`).join(', ') || 'none';
  return {
    object: `${kind}/${metadata.name}`,
    path: 'spec.groupRef.name',
    message: `there is no HydrogenGroup ${spec.groupRef.name} in namespace ${metadata.namespace}; known groups: ${known}`,
  };
}
