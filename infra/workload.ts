/** What gateways and message processors have in common around their pods: deployment, autoscaler, disruption budget. */
import { k8s } from 'cdk8s-plus-28';
import type { Construct } from 'constructs';

import type { HydrogenGateway } from '../crds/index.ts';
import { type Identity, metadataOf, selectorOf } from './labels.ts';

type Spec = HydrogenGateway['spec'];

/** What a workload is made from. */
export interface WorkloadOptions {
  readonly identity: Identity;
  /** Name of every object. */
  readonly name: string;
  readonly template: k8s.PodTemplateSpec;
  readonly replicas: Spec['replicas'];
  readonly autoscaling: Spec['autoscaling'];
  /** How fast pods may be taken away. */
  readonly scaleDown: k8s.HpaScalingRulesV2;
}

const revisionHistoryLimit = 3;

/** Adds the deployment and what goes with it; the number of pods is left to the autoscaler when there is one. */
export function addWorkload(scope: Construct, options: WorkloadOptions): k8s.KubeDeployment {
  const { identity, name, template, replicas, autoscaling } = options;
  const deployment = new k8s.KubeDeployment(scope, 'Deployment', {
    metadata: metadataOf(identity, name),
    spec: {
      ...(autoscaling ? {} : { replicas }),
      revisionHistoryLimit,
      selector: { matchLabels: selectorOf(identity) },
      strategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxUnavailable: k8s.IntOrString.fromNumber(0), maxSurge: k8s.IntOrString.fromString('25%') },
      },
      template,
    },
  });
  if (autoscaling) addAutoscaler(scope, options, autoscaling);
  addDisruptionBudget(scope, identity, name);
  return deployment;
}

/** Adds a budget of one pod at a time, so that a single replica never blocks the drain of a node. */
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

/** Doubling or four pods a minute, whichever is more. */
const scaleUp: k8s.HpaScalingRulesV2 = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Percent', value: 100, periodSeconds: 60 },
    { type: 'Pods', value: 4, periodSeconds: 60 },
  ],
};
