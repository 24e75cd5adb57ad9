/**
 * Roles for the users of the custom resources. With their labels, a cluster adds their rules to its own roles `view`, `edit`
 * and `admin`, which most clusters already give to the users of a namespace.
 */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { type CustomResourceDefinition, customResourceDefinitions } from '../crds/manifest.ts';
import { clusterScoped } from './cluster-scoped.ts';
import type { Labels } from './labels.ts';

const labels: Labels = { 'app.kubernetes.io/name': 'hydrogen', 'app.kubernetes.io/component': 'crds' };

/** The label by which a cluster adds rules to one of its roles. */
function aggregatedTo(...roles: readonly ('view' | 'edit' | 'admin')[]): Labels {
  return Object.fromEntries(roles.map((role) => [`rbac.authorization.k8s.io/aggregate-to-${role}`, 'true']));
}

function subresource(name: 'scale' | 'status'): string[] {
  const hasIt = ({ spec }: CustomResourceDefinition): boolean =>
    spec.versions.some(({ subresources }) => subresources[name] !== undefined);
  return customResourceDefinitions()
    .filter(hasIt)
    .map(({ spec }) => `${spec.names.plural}/${name}`);
}

function rule(resources: readonly string[], verbs: readonly string[]): k8s.PolicyRule {
  return { apiGroups: ['hydrogen.dev'], resources: [...resources], verbs: [...verbs] };
}

/**
 * Adds the ClusterRoles `hydrogen-view` and `hydrogen-edit`. As with workloads of Kubernetes, who may edit also scales, and
 * nobody but the operator writes status or finalizers.
 * @param isAggregated whether `view`, `edit` and `admin` of the cluster get their rules
 */
export function addUserRoles(scope: Construct, isAggregated: boolean): void {
  const kinds = customResourceDefinitions().map(({ spec }) => String(spec.names.plural));
  const scales = subresource('scale');
  const add = (id: string, name: string, aggregation: Labels, rules: k8s.PolicyRule[]): void => {
    const metadata = { name, labels: { ...labels, ...(isAggregated ? aggregation : {}) } };
    clusterScoped(new k8s.KubeClusterRole(scope, id, { metadata, rules }));
  };
  add('View', 'hydrogen-view', aggregatedTo('view'), [
    rule([...kinds, ...subresource('status'), ...scales], ['get', 'list', 'watch']),
  ]);
  add('Edit', 'hydrogen-edit', aggregatedTo('edit', 'admin'), [
    rule(kinds, ['create', 'delete', 'deletecollection', 'patch', 'update']),
    rule(scales, ['patch', 'update']),
  ]);
}
