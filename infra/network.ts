/** Which peers may reach which ports of a pod. Egress is not restricted: hooks and destinations may be anywhere. */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { type Identity, metadataOf, selectorOf } from './labels.ts';

/** The peers that may reach a port. */
export interface Allowed {
  /** Name or number of the container port. */
  readonly port: string | number;
  /** Where the traffic may come from. @default - anywhere */
  readonly from?: readonly k8s.NetworkPolicyPeer[];
}

/** Every pod of the same namespace. */
export const sameNamespace: k8s.NetworkPolicyPeer = { podSelector: {} };

/** Every pod of the cluster. */
export const wholeCluster: k8s.NetworkPolicyPeer = { namespaceSelector: {} };

/** Adds a policy that blocks all other ingress traffic. */
export function addNetworkPolicy(
  scope: Construct,
  identity: Identity,
  name: string,
  allowed: readonly Allowed[],
): void {
  new k8s.KubeNetworkPolicy(scope, 'NetworkPolicy', {
    metadata: metadataOf(identity, name),
    spec: {
      podSelector: { matchLabels: selectorOf(identity) },
      policyTypes: ['Ingress'],
      ingress: allowed.map(({ port, from }) => ({
        ports: [{ port: portOf(port), protocol: 'TCP' }],
        ...(from && { from: [...from] }),
      })),
    },
  });
}

function portOf(port: string | number): k8s.IntOrString {
  return typeof port === 'number' ? k8s.IntOrString.fromNumber(port) : k8s.IntOrString.fromString(port);
}
