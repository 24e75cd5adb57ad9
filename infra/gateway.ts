/** A gateway in a cluster: turns its spec into the objects that run it, without an operator. */
import type * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { env, ports } from '../crds/contract.ts';
import { gatewayGraceSeconds } from '../crds/grace.ts';
import type { HydrogenGateway as ParsedGateway } from '../crds/resources.ts';
import type { HydrogenGatewayMemberSpec } from '../crds/types/gateway.ts';
import { addConfigMap } from './config-map.ts';
import { configText, documentOf, restartDigest } from './documents.ts';
import { addExposure } from './exposure.ts';
import { type Identity, type Labels, selectorOf } from './labels.ts';
import { assertMembership, groupOf, HydrogenMember, type MemberProps } from './member.ts';
import { addServiceMonitor, metricsLabel, metricsPortName } from './monitor.ts';
import { gatewayNames } from './names.ts';
import { type Allowed, addNetworkPolicy, egressOf, sameNamespace, wholeCluster } from './network.ts';
import { podTemplate } from './pod.ts';
import { memberSecrets } from './secrets.ts';
import { addService } from './service.ts';
import { addWorkload } from './workload.ts';

/** Properties of {@link HydrogenGateway}. */
export interface HydrogenGatewayProps extends MemberProps {
  /** `spec` of the custom resource. */
  readonly spec: HydrogenGatewayMemberSpec;
  /** Peers that may call the management API, in addition to pods of the same namespace. @default - none */
  readonly managementFrom?: readonly k8s.NetworkPolicyPeer[];
}

/** Port of the service for clients. */
const clientServicePort = 80;

/** Maximum period of an autoscaler policy, in seconds. */
const maxPolicySeconds = 1800;

const resources = { requests: { cpu: '250m', memory: '256Mi' }, limits: { memory: '2Gi' } };

/** Deployment, services, autoscaler, disruption budget, network policy and ingress or route of one gateway. */
export class HydrogenGateway extends HydrogenMember {
  /** The checked document, with defaults. */
  readonly document: ParsedGateway;
  /** Labels that select its pods. */
  readonly selector: Labels;
  /** Name of the deployment. */
  readonly deploymentName: string;
  /** Name of the service for clients. */
  readonly serviceName: string;
  /** Base URL for clients in the cluster; append the path of an endpoint. */
  readonly clientUrl: string;
  /** Base URL of the management API in the cluster. */
  readonly managementUrl: string;

  /** @throws InvalidDocuments with every problem of the spec. */
  constructor(scope: Construct, id: string, props: HydrogenGatewayProps) {
    const group = groupOf(props.group);
    const metadata = { name: props.name, namespace: props.namespace ?? group.metadata.namespace };
    const spec = { groupRef: { name: group.metadata.name }, ...props.spec };
    const document = documentOf('HydrogenGateway', metadata, spec);
    assertMembership(document, group);
    super(scope, id, metadata.name, metadata.namespace);

    const { workload: name, management } = gatewayNames(this.name);
    const identity: Identity = { component: 'gateway', ...metadata, group: group.metadata.name };
    this.document = document;
    this.selector = selectorOf(identity);
    this.deploymentName = name;
    this.serviceName = name;
    this.clientUrl = `ws://${name}.${this.namespace}.svc:${clientServicePort}`;
    this.managementUrl = `http://${management}.${this.namespace}.svc:${ports.management}`;

    const { template, autoscaling, replicas, service } = document.spec;
    const graceSeconds = gatewayGraceSeconds(document.spec);
    addConfigMap(this, identity, name, configText(group, document));
    addWorkload(this, {
      identity,
      name,
      replicas,
      autoscaling,
      affinity: template.affinity,
      scaleDown: scaleDown(graceSeconds),
      template: podTemplate({
        identity,
        role: 'gateway',
        template,
        image: props.image,
        resources,
        ports: { client: ports.client, management: ports.management, probes: ports.probes },
        env: { [env.callbackUrl]: this.managementUrl },
        configMap: name,
        secrets: memberSecrets(group, 'gateway', document.spec),
        graceSeconds,
        restartDigest: restartDigest(group, 'gateway'),
      }),
    });
    const appProtocol = document.spec.httpRoute && 'kubernetes.io/ws';
    addService(this, 'Service', identity, {
      name,
      ...service,
      ports: [{ name: 'client', port: clientServicePort, appProtocol }],
    });
    addService(this, 'ManagementService', identity, {
      name: management,
      labels: metricsLabel,
      ports: [
        { name: 'management', port: ports.management },
        { name: metricsPortName, port: ports.probes, target: 'probes' },
      ],
    });
    const allowed: Allowed[] = [
      { port: 'client' },
      { port: 'management', from: [sameNamespace, ...(props.managementFrom ?? [])] },
      { port: 'probes', from: [wholeCluster] },
    ];
    addNetworkPolicy(this, identity, name, allowed, egressOf(group, document.spec.egress));
    addExposure(this, identity, name, document.spec, { name, port: clientServicePort });
    if (props.serviceMonitor) addServiceMonitor(this, identity, name, props.serviceMonitor);
  }
}

/** One pod per drain period, after ten quiet minutes: all clients of a removed pod must reconnect. */
function scaleDown(graceSeconds: number): k8s.HpaScalingRulesV2 {
  const periodSeconds = Math.min(Math.max(graceSeconds, 60), maxPolicySeconds);
  return {
    stabilizationWindowSeconds: 600,
    selectPolicy: 'Max',
    policies: [{ type: 'Pods', value: 1, periodSeconds }],
  };
}
