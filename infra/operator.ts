/** The operator in a cluster: its pods, their permissions and their metrics. */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { Construct } from 'constructs';

import { ports, probePaths } from '../crds/contract.ts';
import { clusterScoped } from './cluster-scoped.ts';
import { addDefinitionGuard } from './definition-guard.ts';
import { defaultImage, entryPoint } from './image.ts';
import { type Identity, labelsOf, metadataOf, selectorOf } from './labels.ts';
import { metricsLabel, metricsPortName } from './monitor.ts';
import { addNetworkPolicy, wholeCluster } from './network.ts';
import { addOperatorRoles, secretRules, watchRules } from './operator-rbac.ts';
import { httpProbe } from './pod.ts';
import { containerSecurity, podSecurity } from './security.ts';
import { addService } from './service.ts';
import { addDisruptionBudget } from './workload.ts';

/** Properties of {@link HydrogenOperator}. */
export interface HydrogenOperatorProps {
  /** Namespace that it runs in. @default 'hydrogen-system' */
  readonly namespace?: string;
  /** Whether the namespace is emitted as well. @default true */
  readonly createNamespace?: boolean;
  /** The only namespace whose objects it reconciles. @default - every namespace */
  readonly watchNamespace?: string;
  /**
   * Whether it may read secrets in the namespaces that it watches: it logs in to NATS with those of groups, notices when
   * one that a document refers to appears or changes, and reports missing ones. Without this permission, groups that need
   * credentials are not checked and never become Ready, although everything runs. @default true
   */
  readonly readSecrets?: boolean;
  /**
   * Image, which pods of documents that name none get as well; it must have `/app/cli/hydrogen.js` with every role.
   * @default - the image of this release
   */
  readonly image?: string;
  /** Image of the NATS servers of groups with `nats.managed`. @default - the image of this release */
  readonly natsImage?: string;
  /** Number of pods, only one of which acts at a time. @default 2 */
  readonly replicas?: number;
}

/** The name of the operator's container, by which it finds its own image. */
export const operatorContainer = 'operator';

/** The operator's default namespace. */
export const defaultOperatorNamespace = 'hydrogen-system';

const name = 'hydrogen-operator';
const graceSeconds = 30;

/**
 * The operator is idle most of the time, so low memory use matters more than throughput. The heap may take three
 * quarters of the pod's memory, its young generation is small, and garbage is collected after a burst
 * (`operator/garbage.ts`). Without optimizing compilers it takes 20 MB less, and they gain little in bursts of seconds.
 * NODE_OPTIONS does not permit the last two of these settings.
 */
const v8Flags = ['--max-semi-space-size=4', '--max-old-space-size=384', '--expose-gc', '--no-opt', '--no-maglev'];

/** By default, glibc creates up to eight arenas per core. */
const memory: readonly k8s.EnvVar[] = [{ name: 'MALLOC_ARENA_MAX', value: '2' }];

/**
 * Namespace, service account, roles, deployment, metrics service, disruption budget and network policy of the operator. One
 * that watches every namespace also has a policy that guards the definitions of the custom resources.
 */
export class HydrogenOperator extends Construct {
  /** Namespace that it runs in. */
  readonly namespace: string;
  /** Name of its deployment and service account. */
  readonly name: string = name;

  constructor(scope: Construct, id: string, props: HydrogenOperatorProps = {}) {
    super(scope, id);
    const { namespace = defaultOperatorNamespace, createNamespace = true, watchNamespace, readSecrets = true } = props;
    this.namespace = namespace;
    const identity: Identity = { component: 'operator', name, namespace };

    if (createNamespace) addNamespace(this, identity);
    new k8s.KubeServiceAccount(this, 'ServiceAccount', {
      metadata: metadataOf(identity, name),
      automountServiceAccountToken: false,
    });
    if (watchNamespace === undefined) addDefinitionGuard(this, identity);
    addOperatorRoles(this, identity, watchNamespace, readSecrets ? [...watchRules, ...secretRules] : watchRules);
    new k8s.KubeDeployment(this, 'Deployment', {
      metadata: metadataOf(identity, name),
      spec: {
        replicas: props.replicas ?? 2,
        revisionHistoryLimit: 3,
        selector: { matchLabels: selectorOf(identity) },
        strategy: {
          type: 'RollingUpdate',
          rollingUpdate: { maxUnavailable: k8s.IntOrString.fromNumber(0), maxSurge: k8s.IntOrString.fromNumber(1) },
        },
        template: podTemplate(identity, props),
      },
    });
    addService(this, 'Service', identity, {
      name: `${name}-metrics`,
      labels: metricsLabel,
      ports: [{ name: metricsPortName, port: ports.probes, target: 'probes' }],
    });
    addDisruptionBudget(this, identity, name);
    addNetworkPolicy(this, identity, name, [{ port: 'probes', from: [wholeCluster] }]);
  }
}

/** The namespace enforces the strictest Pod Security profile. */
function addNamespace(scope: Construct, identity: Identity): void {
  const labels = { ...labelsOf(identity), 'pod-security.kubernetes.io/enforce': 'restricted' };
  clusterScoped(new k8s.KubeNamespace(scope, 'Namespace', { metadata: { name: identity.namespace, labels } }));
}

function podTemplate(
  identity: Identity,
  { watchNamespace, natsImage, image = defaultImage }: HydrogenOperatorProps,
): k8s.PodTemplateSpec {
  const options = { '--namespace': watchNamespace, '--nats-image': natsImage };
  const args = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  const fromField = (variable: string, fieldPath: string): k8s.EnvVar => ({
    name: variable,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return {
    metadata: { labels: labelsOf(identity) },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: true,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: graceSeconds,
      securityContext: podSecurity,
      topologySpreadConstraints: [
        {
          topologyKey: 'kubernetes.io/hostname',
          maxSkew: 1,
          whenUnsatisfiable: 'ScheduleAnyway',
          labelSelector: { matchLabels: selectorOf(identity) },
          matchLabelKeys: ['pod-template-hash'],
        },
      ],
      containers: [
        {
          name: operatorContainer,
          image,
          imagePullPolicy: 'IfNotPresent',
          command: [entryPoint.program, ...v8Flags, entryPoint.script],
          args: ['operator', ...args],
          env: [fromField('POD_NAME', 'metadata.name'), fromField('POD_NAMESPACE', 'metadata.namespace'), ...memory],
          ports: [{ name: 'probes', containerPort: ports.probes, protocol: 'TCP' }],
          resources: {
            requests: { cpu: k8s.Quantity.fromString('50m'), memory: k8s.Quantity.fromString('128Mi') },
            limits: { memory: k8s.Quantity.fromString('512Mi') },
          },
          securityContext: containerSecurity,
          livenessProbe: httpProbe(probePaths.live, 'probes', {
            periodSeconds: 10,
            timeoutSeconds: 5,
            failureThreshold: 6,
          }),
          readinessProbe: httpProbe(probePaths.ready, 'probes', {
            periodSeconds: 5,
            timeoutSeconds: 3,
            failureThreshold: 2,
          }),
        },
      ],
    },
  };
}
