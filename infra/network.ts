/**
 * Which peers may reach which ports of a pod, and which it may reach. Egress is restricted only on request: hooks and
 * destinations may be anywhere.
 */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { natsPorts } from '../crds/contract.ts';
import type { HydrogenGateway, HydrogenGroup } from '../crds/index.ts';
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

/** Adds a policy that blocks all other ingress traffic, and with `egress` all other egress traffic. */
export function addNetworkPolicy(
  scope: Construct,
  identity: Identity,
  name: string,
  allowed: readonly Allowed[],
  egress?: readonly k8s.NetworkPolicyEgressRule[],
): void {
  new k8s.KubeNetworkPolicy(scope, 'NetworkPolicy', {
    metadata: metadataOf(identity, name),
    spec: {
      podSelector: { matchLabels: selectorOf(identity) },
      policyTypes: ['Ingress', ...(egress ? ['Egress'] : [])],
      ingress: allowed.map(({ port, from }) => ({
        ports: [{ port: portOf(port), protocol: 'TCP' }],
        ...(from && { from: [...from] }),
      })),
      ...(egress && { egress: [...egress] }),
    },
  });
}

type Egress = NonNullable<HydrogenGateway['spec']['egress']>;

/**
 * DNS, the managed NATS of the group, and what the document allows; undefined if it limits nothing. A resolver may be a pod,
 * or an address of the node, so port 53 is open to everywhere.
 */
export function egressOf(
  { metadata, spec }: HydrogenGroup,
  egress: Egress | undefined,
): readonly k8s.NetworkPolicyEgressRule[] | undefined {
  if (egress === undefined) return undefined;
  const dns = ['UDP', 'TCP'].map((protocol) => ({ port: portOf(53), protocol }));
  const servers = { podSelector: { matchLabels: selectorOf({ component: 'nats', ...metadata }) } };
  const nats = { to: [servers], ports: [{ port: portOf(natsPorts.client), protocol: 'TCP' }] };
  return [
    { ports: dns },
    ...(spec.nats.managed ? [nats] : []),
    ...egress.allow.map(({ to, ports }) => ({
      to: to.map(peerOf),
      ...(ports && { ports: ports.map(({ port, protocol }) => ({ port: portOf(port), protocol })) }),
    })),
  ];
}

type Peer = Egress['allow'][number]['to'][number];

function peerOf({ ipBlock, namespaceSelector, podSelector }: Peer): k8s.NetworkPolicyPeer {
  return {
    ...(ipBlock && { ipBlock: { cidr: ipBlock.cidr, ...(ipBlock.except && { except: [...ipBlock.except] }) } }),
    ...(namespaceSelector && { namespaceSelector }),
    ...(podSelector && { podSelector }),
  };
}

function portOf(port: string | number): k8s.IntOrString {
  return typeof port === 'number' ? k8s.IntOrString.fromNumber(port) : k8s.IntOrString.fromString(port);
}
