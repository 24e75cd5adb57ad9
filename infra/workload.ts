/** The objects that gateways and message processors share: deployment, autoscaler and disruption budget. */
import { ApiObject } from 'cdk8s';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import type { HydrogenGateway } from '../crds/index.ts';
import { type Identity, metadataOf, selectorOf } from './labels.ts';

type Spec = HydrogenGateway['spec'];

/** Settings of a workload. */
export interface WorkloadOptions {
  readonly identity: Identity;
  /** Name of every object. */
  readonly name: string;
  readonly template: k8s.PodTemplateSpec;
  /** `spec.template.affinity` of the document. */
  readonly affinity: Spec['template']['affinity'];
  readonly replicas: Spec['replicas'];
  readonly autoscaling: Spec['autoscaling'];
  /** How fast pods may be removed. */
  readonly scaleDown: k8s.HpaScalingRulesV2;
}

const revisionHistoryLimit = 3;

/** Adds the deployment and the objects around it; an autoscaler, if any, sets the number of pods. */
export function addWorkload(scope: Construct, options: WorkloadOptions): void {
  const { identity, name, template, affinity, replicas, autoscaling } = options;
  const spec = k8s.toJson_DeploymentSpec({
    ...(autoscaling ? {} : { replicas }),
    revisionHistoryLimit,
    selector: { matchLabels: selectorOf(identity) },
    strategy: {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: k8s.IntOrString.fromNumber(0), maxSurge: k8s.IntOrString.fromString('25%') },
    },
    template,
  });
  // The L1 classes drop fields that they do not know, but the API server should check what the user wrote.
  if (affinity && spec) spec.template.spec.affinity = affinity;
  const { apiVersion, kind } = k8s.KubeDeployment.GVK;
  new ApiObject(scope, 'Deployment', { apiVersion, kind, metadata: metadataOf(identity, name), spec });
  if (autoscaling) addAutoscaler(scope, options, autoscaling);
  addDisruptionBudget(scope, identity, name);
}

/** Adds a disruption budget of one pod at a time, so that a single replica never blocks draining a node. */
export function addDisruptionBudget(scope: Construct, identity: Identity, name: string): void {
  new k8s.KubePodDisruptionBudget(scope, 'PodDisruptionBudget', {
    metadata: metadataOf(identity, name),
    spec: {
      maxUnavailable: k8s.IntOrString.fromNumber(1),
      selector: { matchLabels: selectorOf(identity) },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  });
}

function addAutoscaler(
  scope: Construct,
  { identity, name, scaleDown }: WorkloadOptions,
  { minReplicas, maxReplicas, targetCPUUtilizationPercentage }: NonNullable<Spec['autoscaling']>,
): void {
  new k8s.KubeHorizontalPodAutoscalerV2(scope, 'HorizontalPodAutoscaler', {
    metadata: metadataOf(identity, name),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name },
      minReplicas,
      maxReplicas,
      metrics: [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'Utilization', averageUtilization: targetCPUUtilizationPercentage },
          },
        },
      ],
      behavior: { scaleUp, scaleDown },
    },
  });
}

/** At most doubles the pods or adds four per minute, whichever is more. */
const scaleUp: k8s.HpaScalingRulesV2 = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Percent', value: 100, periodSeconds: 60 },
    { type: 'Pods', value: 4, periodSeconds: 60 },
  ],
};
