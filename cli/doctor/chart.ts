/** The documents that the doctor examines, and where they came from: files, a cluster, or the pod that it runs in. */

import { existsSync } from 'node:fs';

import { parse as parseYaml } from 'yaml';
import { env, paths } from '../../crds/contract.ts';
import { splitDocuments } from '../../crds/documents.ts';
import { type HydrogenGroup, InvalidDocuments, parse, type Resource, resolveGroups } from '../../crds/index.ts';
import type { Kube } from '../../operator/kube/client.ts';
import { customTypes, type KubeObject } from '../../operator/kube/objects.ts';
import { HydrogenError } from '../../runtime/errors.ts';
import type { Documents } from '../../runtime/role/documents.ts';
import { readSource } from '../sources.ts';
import type { Diagnosis } from './diagnosis.ts';
import { type ReadSecret, secretsInFiles, secretsOfCluster, secretsOfFolder } from './secrets.ts';

/** Everything that is examined. */
export interface Chart extends Documents {
  /** Where it came from, for people. */
  readonly source: string;
  readonly groups: readonly HydrogenGroup[];
  /** Whether every member of the groups is here. */
  readonly isWhole: boolean;
  readonly readSecret: ReadSecret;
  /** Objects that cannot be read. */
  readonly invalid: readonly Diagnosis[];
}

export interface ChartOptions {
  readonly file?: readonly string[];
  readonly namespace?: string;
  /** Folder of secrets. */
  readonly secrets?: string;
}

/** True in a pod of a gateway or a message processor: its own documents are at hand. */
export function isInMember(file: string): boolean {
  return existsSync(file);
}

/** What a member's pod runs from. @throws {HydrogenError} HYD_CONFIG_INVALID */
export async function chartOfMember(file: string): Promise<Chart> {
  const chart = await chartOfFiles({ file: [file], secrets: process.env[env.secretsDir] ?? paths.secrets }, undefined);
  return { ...chart, source: 'the documents of this pod', isWhole: false };
}

/**
 * @param kube for secrets that are neither in the files nor in a folder; a string: why there is none
 * @throws {HydrogenError} HYD_CONFIG_INVALID with every problem, one per line
 */
export async function chartOfFiles(
  { file = [], namespace, secrets }: ChartOptions,
  kube: Kube | string | undefined,
): Promise<Chart> {
  const space = namespace ?? (typeof kube === 'object' ? kube.namespace : undefined) ?? 'default';
  const texts = await Promise.all(file.map(readSource));
  try {
    const parts = texts.map(({ text, source }) => splitDocuments(text, source, space));
    const others = parts.flatMap((part) => part.others).map((text): unknown => parseYaml(text));
    const next = secrets === undefined ? outsideFiles(kube) : secretsOfFolder(secrets);
    return {
      source: texts.map(({ source }) => source).join(', '),
      ...resolveGroups(parts.flatMap(({ resources }) => resources)),
      isWhole: true,
      readSecret: secretsInFiles(others, space, next),
      invalid: [],
    };
  } catch (cause) {
    if (!(cause instanceof InvalidDocuments)) throw cause;
    throw new HydrogenError('HYD_CONFIG_INVALID', `\n${cause.message}`, { cause });
  }
}

function outsideFiles(kube: Kube | string | undefined): ReadSecret {
  if (typeof kube === 'object') return secretsOfCluster(kube);
  const reason = `there is no cluster to ask${kube === undefined ? '' : `: ${kube}`}`;
  return async () => ({ kind: 'unknown', reason });
}

/** The custom resources of a namespace. @throws {ApiError} */
export async function chartOfCluster(kube: Kube, namespace: string, secrets?: string): Promise<Chart> {
  const types = [customTypes.HydrogenGroup, customTypes.HydrogenGateway, customTypes.HydrogenMessageProcessor];
  const lists = await Promise.all(types.map((type) => kube.list(type, { namespace })));
  const read = lists.flatMap(({ items }) => items).map(readObject);
  const resources = read.flatMap((one) => ('resource' in one ? [one.resource] : []));
  const known = new Set(resources.filter(({ kind }) => kind === 'HydrogenGroup').map(({ metadata }) => metadata.name));
  const isLonely = (one: Resource): boolean => one.kind !== 'HydrogenGroup' && !known.has(one.spec.groupRef.name);
  const lonely = resources.filter(isLonely).map((one) => lonelyMember(one, namespace));
  return {
    source: `namespace ${namespace} of the cluster at ${kube.server}`,
    ...resolveGroups(resources.filter((one) => !isLonely(one))),
    isWhole: true,
    readSecret: secrets === undefined ? secretsOfCluster(kube) : secretsOfFolder(secrets),
    invalid: [...read.flatMap((one) => ('invalid' in one ? [one.invalid] : [])), ...lonely],
  };
}

function readObject(object: KubeObject): { readonly resource: Resource } | { readonly invalid: Diagnosis } {
  const { apiVersion, kind, metadata, spec } = object;
  const { name, namespace } = metadata;
  const result = parse({ apiVersion, kind, metadata: { name, namespace }, spec });
  if (result.ok) return { resource: result.resource };
  const invalid: Diagnosis = {
    health: 'problem',
    objects: [`${kind}/${name}`],
    subject: 'specification',
    message: `It is invalid: ${result.issues.map(({ path, message }) => `${path} ${message}`).join('; ')}.`,
    cure: 'correct these fields',
  };
  return { invalid };
}

function lonelyMember(one: Resource, namespace: string): Diagnosis {
  const group = one.kind === 'HydrogenGroup' ? '' : one.spec.groupRef.name;
  return {
    health: 'problem',
    objects: [`${one.kind}/${one.metadata.name}`],
    subject: 'group',
    message: `There is no HydrogenGroup ${group} in namespace ${namespace}, or it is invalid.`,
    cure: 'create it, or correct spec.groupRef.name',
  };
}
