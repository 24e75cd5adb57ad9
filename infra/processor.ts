/** A message processor in a cluster: turns its spec into the objects that run it, without an operator. */
import type * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { ports } from '../crds/contract.ts';
import { processorGraceSeconds } from '../crds/grace.ts';
import type { HydrogenMessageProcessor as ParsedProcessor } from '../crds/resources.ts';
import type { HydrogenMessageProcessorMemberSpec } from '../crds/types/processor.ts';
import { addConfigMap } from './config-map.ts';
import { configText, documentOf, restartDigest } from './documents.ts';
import { type Identity, type Labels, selectorOf } from './labels.ts';
import { assertMembership, groupOf, HydrogenMember, type MemberProps } from './member.ts';
import { addServiceMonitor, metricsLabel, metricsPortName } from './monitor.ts';
import { processorNames } from './names.ts';
import { addNetworkPolicy, egressOf, wholeCluster } from './network.ts';
import { podTemplate } from './pod.ts';
import { memberSecrets } from './secrets.ts';
import { addService } from './service.ts';
import { addWorkload } from './workload.ts';

/** Properties of {@link HydrogenMessageProcessor}. */
export interface HydrogenMessageProcessorProps extends MemberProps {
  /** `spec` of the custom resource. */
  readonly spec: HydrogenMessageProcessorMemberSpec;
}

const resources = { requests: { cpu: '250m', memory: '128Mi' }, limits: { memory: '1Gi' } };

/** Deployment, metrics service, autoscaler, disruption budget and network policy of one message processor. */
export class HydrogenMessageProcessor extends HydrogenMember {
  /** The checked document, with defaults. */
  readonly document: ParsedProcessor;
  /** Labels that select its pods. */
  readonly selector: Labels;
  /** Name of the deployment. */
  readonly deploymentName: string;

  /** @throws InvalidDocuments with every problem of the spec. */
  constructor(scope: Construct, id: string, props: HydrogenMessageProcessorProps) {
    const group = groupOf(props.group);
    const metadata = { name: props.name, namespace: props.namespace ?? group.metadata.namespace };
    const spec = { groupRef: { name: group.metadata.name }, ...props.spec };
    const document = documentOf('HydrogenMessageProcessor', metadata, spec);
    assertMembership(document, group);
    super(scope, id, metadata.name, metadata.namespace);

    const { workload: name } = processorNames(this.name);
    const identity: Identity = { component: 'mproc', ...metadata, group: group.metadata.name };
    this.document = document;
    this.selector = selectorOf(identity);
    this.deploymentName = name;

    const { template, autoscaling, replicas } = document.spec;
    addConfigMap(this, identity, name, configText(group, document));
    addWorkload(this, {
      identity,
      name,
      replicas,
      autoscaling,
      affinity: template.affinity,
      scaleDown,
      template: podTemplate({
        identity,
        role: 'mproc',
        template,
        image: props.image,
        resources,
        ports: { probes: ports.probes },
        env: {},
        configMap: name,
        secrets: memberSecrets(group, 'processor', document.spec),
        graceSeconds: processorGraceSeconds(document.spec),
        restartDigest: restartDigest(group, 'processor'),
      }),
    });
    addService(this, 'Service', identity, {
      name,
      labels: metricsLabel,
      ports: [{ name: metricsPortName, port: ports.probes, target: 'probes' }],
    });
    const allowed = [{ port: 'probes', from: [wholeCluster] }];
    addNetworkPolicy(this, identity, name, allowed, egressOf(group, document.spec.egress));
    if (props.serviceMonitor) addServiceMonitor(this, identity, name, props.serviceMonitor);
  }
}

/** Up to half of the pods per minute, after five quiet minutes: other pods take over a removed pod's unfinished work. */
const scaleDown: k8s.HpaScalingRulesV2 = {
  stabilizationWindowSeconds: 300,
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }],
};
