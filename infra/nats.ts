/** NATS with JetStream for one group: a stateful set, its services and its network policy. */
import { basename, dirname } from 'node:path/posix';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import type { Construct } from 'constructs';

import { natsPorts } from '../crds/contract.ts';
import type { HydrogenGroup } from '../crds/index.ts';
import { restartDigestOf } from './digest.ts';
import { natsImage } from './image.ts';
import { groupLabel, type Identity, labelsOf, metadataOf, selectorOf } from './labels.ts';
import { natsNames } from './names.ts';
import { type Managed, natsConfig, natsEnv, natsGraceSeconds, natsPaths } from './nats-config.ts';
import { tokenScript } from './nats-token.ts';
import { addNetworkPolicy } from './network.ts';
import { httpProbe } from './pod.ts';
import { containerSecurity, podSecurity } from './security.ts';
import { addService } from './service.ts';
import { addDisruptionBudget } from './workload.ts';

/** The user that owns the volumes: by default, the image would run as root. */
const userId = 1000;

const resources: k8s.ResourceRequirements = {
  requests: { cpu: k8s.Quantity.fromString('250m'), memory: k8s.Quantity.fromString('256Mi') },
  limits: { memory: k8s.Quantity.fromString('1Gi') },
};

/** Soft memory limit of the servers' garbage collector, below the memory limit of the container. */
const memoryTarget = '800MiB';

/** Adds the servers of a group. @param image default: that of this release */
export function addNats(scope: Construct, group: HydrogenGroup, managed: Managed, image = natsImage): void {
  const { name, namespace } = group.metadata;
  const identity: Identity = { component: 'nats', name, namespace, group: name };
  const { workload, headless } = natsNames(name);
  const token = group.spec.nats.tokenSecretRef;
  const files = {
    [basename(natsPaths.config)]: natsConfig(group, managed),
    ...(token && { [basename(natsPaths.start)]: tokenScript() }),
  };

  new k8s.KubeConfigMap(scope, 'ConfigMap', {
    metadata: metadataOf(identity, workload),
    data: files,
  });
  addService(scope, 'Service', identity, { name: workload, ports: [{ name: 'client', port: natsPorts.client }] });
  addService(scope, 'HeadlessService', identity, {
    name: headless,
    isHeadless: true,
    ports: [
      { name: 'client', port: natsPorts.client },
      { name: 'cluster', port: natsPorts.cluster },
      { name: 'monitor', port: natsPorts.monitor },
    ],
  });
  new k8s.KubeStatefulSet(scope, 'StatefulSet', {
    metadata: metadataOf(identity, workload),
    spec: {
      serviceName: headless,
      replicas: managed.replicas,
      revisionHistoryLimit: 3,
      // A cluster elects its leader only once a majority is up, so no server may wait for the previous one.
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'RollingUpdate' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: selectorOf(identity) },
      template: podTemplate(token, identity, Object.values(files).join('\n'), image),
      volumeClaimTemplates: [volumeClaim(identity, managed)],
    },
  });
  addDisruptionBudget(scope, identity, workload);
  addNetworkPolicy(scope, identity, workload, [
    { port: 'client', from: [{ podSelector: { matchLabels: { [groupLabel]: name } } }, operator] },
    { port: 'cluster', from: [{ podSelector: { matchLabels: selectorOf(identity) } }] },
    { port: 'monitor', from: [{ namespaceSelector: {} }] },
  ]);
}

/** The operator in any namespace: it maintains streams and consumers. */
const operator: k8s.NetworkPolicyPeer = {
  namespaceSelector: {},
  podSelector: { matchLabels: { 'app.kubernetes.io/name': 'hydrogen', 'app.kubernetes.io/component': 'operator' } },
};

function podTemplate(token: Token, identity: Identity, config: string, image: string): k8s.PodTemplateSpec {
  return {
    metadata: {
      labels: labelsOf(identity),
      annotations: { 'hydrogen.dev/restart-digest': restartDigestOf(config) },
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: natsGraceSeconds,
      securityContext: {
        ...podSecurity,
        runAsUser: userId,
        runAsGroup: userId,
        fsGroup: userId,
        fsGroupChangePolicy: 'OnRootMismatch',
      },
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 100,
              podAffinityTerm: {
                topologyKey: 'kubernetes.io/hostname',
                labelSelector: { matchLabels: selectorOf(identity) },
              },
            },
          ],
        },
      },
      containers: [container(token, image)],
      volumes: [
        { name: 'config', configMap: { name: natsNames(identity.name).workload } },
        // The configuration with the token is no file on a disk.
        { name: 'run', emptyDir: token ? { medium: 'Memory' } : {} },
        ...(token ? [{ name: 'token', secret: tokenSource(token) }] : []),
      ],
    },
  };
}

type Token = HydrogenGroup['spec']['nats']['tokenSecretRef'];

function tokenSource({ name, key }: NonNullable<Token>): k8s.SecretVolumeSource {
  return { secretName: name, items: [{ key, path: basename(natsPaths.token) }] };
}

/** The command and arguments of a server, with or without a token. */
function commandOf(token: Token): Pick<k8s.Container, 'command' | 'args'> {
  const { config, configWithToken, start, token: file } = natsPaths;
  if (token === undefined) return { args: ['--config', config] };
  return { command: ['sh', start], args: [file, config, configWithToken, 'nats-server'] };
}

function container(token: Token, image: string): k8s.Container {
  return {
    name: 'nats',
    image,
    imagePullPolicy: 'IfNotPresent',
    ...commandOf(token),
    env: environment(),
    ports: Object.entries(natsPorts).map(([name, containerPort]) => ({ name, containerPort, protocol: 'TCP' })),
    resources,
    securityContext: containerSecurity,
    // Recovering large streams after a restart may take minutes.
    startupProbe: httpProbe('/healthz', 'monitor', { periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 120 }),
    livenessProbe: httpProbe('/healthz?js-enabled-only=true', 'monitor', {
      periodSeconds: 30,
      timeoutSeconds: 5,
      failureThreshold: 3,
    }),
    readinessProbe: httpProbe('/healthz?js-server-only=true', 'monitor', {
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    }),
    lifecycle: {
      // Lame duck mode: clients move to the other servers one by one before this one stops.
      preStop: { exec: { command: ['nats-server', `--signal=ldm=${natsPaths.run}/nats.pid`] } },
    },
    volumeMounts: [
      { name: 'config', mountPath: dirname(natsPaths.config), readOnly: true },
      { name: 'data', mountPath: natsPaths.data },
      { name: 'run', mountPath: natsPaths.run },
      ...(token ? [{ name: 'token', mountPath: dirname(natsPaths.token), readOnly: true }] : []),
    ],
  };
}

function environment(): k8s.EnvVar[] {
  return [
    { name: natsEnv.pod, valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'GOMEMLIMIT', value: memoryTarget },
  ];
}

function volumeClaim(identity: Identity, { storage }: Managed): k8s.KubePersistentVolumeClaimProps {
  const { size, className } = storage;
  return {
    metadata: { name: 'data', labels: selectorOf(identity) },
    spec: {
      accessModes: ['ReadWriteOnce'],
      ...(className === undefined ? {} : { storageClassName: className }),
      resources: {
        requests: {
          storage: typeof size === 'number' ? k8s.Quantity.fromNumber(size) : k8s.Quantity.fromString(size),
        },
      },
    },
  };
}
