/**
 * The pods of gateways and message processors. Every field that matters is set explicitly, not left to its default.
 */
import { dirname } from 'node:path/posix';
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';

import { paths, probePaths } from '../crds/contract.ts';
import type { HydrogenGateway } from '../crds/index.ts';
import { defaultImage } from './image.ts';
import { type Identity, type Labels, labelsOf, selectorOf } from './labels.ts';
import { containerSecurity, podSecurity } from './security.ts';

type Template = HydrogenGateway['spec']['template'];
type Resources = NonNullable<Template['resources']>;

/** Settings of a pod. */
export interface PodOptions {
  readonly identity: Identity;
  /** Name of the container, and first argument of the command. */
  readonly role: 'gateway' | 'mproc';
  /** `spec.template` of the document. */
  readonly template: Template;
  /** Image if the document specifies none. @default defaultImage */
  readonly image?: string | undefined;
  /** Resources if the document specifies none. */
  readonly resources: Resources;
  /** Container ports by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Variables that hydrogen sets; those of the document take precedence. */
  readonly env: Readonly<Record<string, string>>;
  /** Name of the config map with the documents that the pod reads. */
  readonly configMap: string;
  /** The volume of referenced secrets. @default - none */
  readonly secrets?: k8s.ProjectedVolumeSource | undefined;
  /** Seconds from SIGTERM to SIGKILL. */
  readonly graceSeconds: number;
  /** Digest of the settings that a running process cannot take over. */
  readonly restartDigest: string;
}

/** The pod template. */
export function podTemplate(options: PodOptions): k8s.PodTemplateSpec {
  const { identity, template, secrets, configMap } = options;
  return {
    metadata: {
      labels: { ...template.labels, ...labelsOf(identity) },
      annotations: { ...template.annotations, 'hydrogen.dev/restart-digest': options.restartDigest },
    },
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: options.graceSeconds,
      securityContext: podSecurity,
      ...placement(template, selectorOf(identity)),
      containers: [container(options)],
      volumes: [
        { name: 'config', configMap: { name: configMap } },
        ...(secrets ? [{ name: 'secrets', projected: secrets }] : []),
      ],
    },
  };
}

/** A document's quantities as L1 resources. */
function resourceRequirements({ requests, limits }: Resources): k8s.ResourceRequirements {
  return {
    ...(requests && { requests: quantities(requests) }),
    ...(limits && { limits: quantities(limits) }),
  };
}

/** A GET on the probe port. */
export function httpProbe(path: string, port: string, timing: Omit<k8s.Probe, 'httpGet'>): k8s.Probe {
  return { httpGet: { path, port: k8s.IntOrString.fromString(port) }, ...timing };
}

function container({ role, template, image, resources, ...options }: PodOptions): k8s.Container {
  const mounts = [{ name: 'config', mountPath: dirname(paths.config), readOnly: true }];
  if (options.secrets) mounts.push({ name: 'secrets', mountPath: paths.secrets, readOnly: true });
  return {
    name: role,
    image: template.image ?? image ?? defaultImage,
    imagePullPolicy: template.imagePullPolicy,
    args: [role, '--config', paths.config],
    ...environment(options.env, template.env ?? []),
    ports: Object.entries(options.ports).map(([name, containerPort]) => ({ name, containerPort, protocol: 'TCP' })),
    resources: resourceRequirements(template.resources ?? resources),
    securityContext: containerSecurity,
    // A live process must not be killed because it is busy: every connection would be lost.
    startupProbe: httpProbe(probePaths.live, 'probes', { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 60 }),
    livenessProbe: httpProbe(probePaths.live, 'probes', { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    readinessProbe: httpProbe(probePaths.ready, 'probes', { periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 2 }),
    volumeMounts: mounts,
  };
}

function environment(
  ours: Readonly<Record<string, string>>,
  theirs: NonNullable<Template['env']>,
): { env?: k8s.EnvVar[] } {
  const names = new Set(theirs.map(({ name }) => name));
  const kept = Object.entries(ours).filter(([name]) => !names.has(name));
  const all = [
    ...kept.map(([name, value]) => ({ name, value })),
    ...theirs.map(({ name, value, valueFrom }) => ({
      name,
      ...(value === undefined ? {} : { value }),
      ...(valueFrom === undefined ? {} : { valueFrom: { secretKeyRef: { ...valueFrom.secretKeyRef } } }),
    })),
  ];
  return all.length === 0 ? {} : { env: all };
}

/** Spreads replicas where possible, unless the document has an affinity. */
function placement(template: Template, selector: Labels): Partial<k8s.PodSpec> {
  const { nodeSelector, tolerations, affinity } = template;
  const spread = (topologyKey: string): k8s.TopologySpreadConstraint => ({
    topologyKey,
    maxSkew: 1,
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: selector },
    matchLabelKeys: ['pod-template-hash'],
  });
  return {
    ...(nodeSelector && { nodeSelector }),
    ...(tolerations && { tolerations: tolerations.map((toleration) => ({ ...toleration })) }),
    // The affinity itself is added to the deployment by addWorkload.
    ...(affinity
      ? {}
      : { topologySpreadConstraints: [spread('topology.kubernetes.io/zone'), spread('kubernetes.io/hostname')] }),
  };
}

function quantities(values: Readonly<Record<string, number | string>>): Record<string, k8s.Quantity> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'number' ? k8s.Quantity.fromNumber(value) : k8s.Quantity.fromString(value),
    ]),
  );
}
