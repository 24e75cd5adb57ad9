/** Documents for constructs and pods: checked on entry, and reduced to the fields that a pod reads. */
import { stringify } from 'yaml';

import { apiVersion } from '../crds/contract.ts';
import {
  type HydrogenGateway,
  type HydrogenGroup,
  type HydrogenMessageProcessor,
  InvalidDocuments,
  type Kind,
  type MemberRole,
  parse,
  type Resource,
  restartFacts,
} from '../crds/index.ts';
import { restartDigestOf } from './digest.ts';

/** The type of an object by its kind. */
export type ResourceOfKind<K extends Kind> = Extract<Resource, { readonly kind: K }>;

/** Fields of `spec` that only shape the workload; pods do not read them. */
const workloadFields = [
  'paused',
  'replicas',
  'autoscaling',
  'service',
  'ingress',
  'httpRoute',
  'egress',
  'template',
] as const satisfies readonly (keyof HydrogenGateway['spec'] | keyof HydrogenMessageProcessor['spec'])[];

/** Maximum size of a config map in Kubernetes, minus space for its metadata. */
const maxConfigBytes = 1024 * 1024 - 8 * 1024;

/**
 * The checked object, with defaults.
 * @throws InvalidDocuments with every problem.
 */
export function documentOf<K extends Kind>(
  kind: K,
  metadata: { readonly name: string; readonly namespace?: string | undefined },
  spec: unknown,
): ResourceOfKind<K> {
  const { name, namespace } = metadata;
  const result = parse({ apiVersion, kind, metadata: namespace === undefined ? { name } : { name, namespace }, spec });
  if (!result.ok) throw new InvalidDocuments(result.issues.map((issue) => ({ object: `${kind}/${name}`, ...issue })));
  return result.resource as ResourceOfKind<K>; // parse keeps the kind
}

/**
 * The file that a pod of `member` reads: the group and the member, as YAML.
 * @throws InvalidDocuments when it does not fit into a config map.
 */
export function configText(group: HydrogenGroup, member: HydrogenGateway | HydrogenMessageProcessor): string {
  const documents = [group, member].map(({ apiVersion, kind, metadata, spec }) => ({
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace: metadata.namespace },
    spec: Object.fromEntries(Object.entries(spec).filter(([field]) => !isWorkloadField(field))),
  }));
  const text = documents.map((document) => stringify(document, yamlOptions)).join('---\n');
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxConfigBytes) return text;
  const message = `must fit into a ConfigMap with its group: at most ${maxConfigBytes} bytes of YAML, has ${bytes}`;
  throw new InvalidDocuments([{ object: `${member.kind}/${member.metadata.name}`, path: 'spec', message }]);
}

/** Digest of the settings that a running process cannot take over; pods are restarted when it changes. */
export function restartDigest(group: HydrogenGroup, role: MemberRole): string {
  return restartDigestOf(JSON.stringify([group.metadata.name, restartFacts(group, role)]));
}

const yamlOptions = { lineWidth: 0, aliasDuplicateObjects: false } as const;

function isWorkloadField(field: string): boolean {
  return (workloadFields as readonly string[]).includes(field);
}
