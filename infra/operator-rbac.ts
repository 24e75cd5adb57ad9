/** The operator's permissions: only those that it needs. */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { clusterScoped } from './cluster-scoped.ts';
import { type Identity, labelsOf, metadataOf } from './labels.ts';

/** Name of the operator's lease. */
export const operatorLease = 'hydrogen-operator';

const custom = ['hydrogengroups', 'hydrogengateways', 'hydrogenmessageprocessors'];

/** The custom resources with a finalizer of the operator, the one thing that it writes outside of their status. */
const finalized = ['hydrogengroups', 'hydrogenmessageprocessors'];

/** Verbs on children: server-side apply needs patch, and also create when the object does not exist. */
const childVerbs = ['get', 'list', 'watch', 'create', 'patch', 'delete'];

/** The kinds that the constructs of gateways, processors and groups emit, by API group. */
const children: Readonly<Record<string, readonly string[]>> = {
  '': ['configmaps', 'services'],
  apps: ['deployments', 'statefulsets'],
  autoscaling: ['horizontalpodautoscalers'],
  'gateway.networking.k8s.io': ['httproutes'],
  'networking.k8s.io': ['ingresses', 'networkpolicies'],
  policy: ['poddisruptionbudgets'],
};

/** Rules for the custom resources and their children, in every namespace that it watches. */
export const watchRules: readonly k8s.PolicyRule[] = [
  { apiGroups: ['hydrogen.dev'], resources: custom, verbs: ['list', 'watch'] },
  { apiGroups: ['hydrogen.dev'], resources: finalized, verbs: ['patch'] },
  { apiGroups: ['hydrogen.dev'], resources: custom.map((name) => `${name}/status`), verbs: ['patch'] },
  { apiGroups: ['hydrogen.dev'], resources: custom.map((name) => `${name}/finalizers`), verbs: ['update'] },
  ...Object.entries(children).map(([group, resources]) => ({
    apiGroups: [group],
    resources: [...resources],
    verbs: childVerbs,
  })),
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
];

/** Rules for the secrets that documents refer to, in every namespace that it watches; they can be left out. */
export const secretRules: readonly k8s.PolicyRule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
];

/**
 * Rules for its own namespace: the leader election lease, and its own pod, whose image other pods get as well. A right to
 * create cannot name an object, and its pods get their names only when they are created.
 */
export const ownRules: readonly k8s.PolicyRule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: [operatorLease],
    verbs: ['get', 'update'],
  },
  { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
];

/**
 * Adds the roles and binds them to the service account.
 * @param watched undefined: every namespace @param rules for the watched namespaces
 */
export function addOperatorRoles(
  scope: Construct,
  identity: Identity,
  watched: string | undefined,
  rules: readonly k8s.PolicyRule[],
): void {
  const { name } = identity;
  addRole(scope, 'Lease', identity, identity.namespace, `${name}-lease`, ownRules);
  if (watched !== undefined) {
    addRole(scope, 'Watch', identity, watched, name, rules);
    return;
  }
  const metadata = { name, labels: labelsOf(identity) };
  const role = new k8s.KubeClusterRole(scope, 'ClusterRole', { metadata, rules: [...rules] });
  const binding = new k8s.KubeClusterRoleBinding(scope, 'ClusterRoleBinding', {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [subject(identity)],
  });
  clusterScoped(role);
  clusterScoped(binding);
}

function addRole(
  scope: Construct,
  id: string,
  identity: Identity,
  namespace: string,
  name: string,
  rules: readonly k8s.PolicyRule[],
): void {
  const metadata = metadataOf({ ...identity, namespace }, name);
  new k8s.KubeRole(scope, `${id}Role`, { metadata, rules: [...rules] });
  new k8s.KubeRoleBinding(scope, `${id}RoleBinding`, {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [subject(identity)],
  });
}

function subject({ name, namespace }: Identity): k8s.Subject {
  return { kind: 'ServiceAccount', name, namespace };
}
