/** Where the doctor finds the values of secrets, and whether those that documents refer to exist. Values are never shown. */

import { isHeaderValue } from '../../crds/headers.ts';
import type { Header, SecretKeyRef } from '../../crds/index.ts';
import { isObject } from '../../crds/json.ts';
import { secretRefsIn } from '../../crds/secret-refs.ts';
import type { Kube } from '../../operator/kube/client.ts';
import { isApiError, messageOf } from '../../operator/kube/errors.ts';
import { secretType } from '../../operator/kube/objects.ts';
import { MountedSecrets } from '../../runtime/role/secrets.ts';
import type { Diagnosis } from './diagnosis.ts';

/** `unknown`: it cannot be examined from here. */
export type SecretAnswer =
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'missing'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string };

/** The values of secrets by namespace, name and key. */
export type ReadSecret = (namespace: string, ref: SecretKeyRef) => Promise<SecretAnswer>;

/** A folder as it is mounted into pods: `<dir>/<secret name>/<key>`. */
export function secretsOfFolder(dir: string): ReadSecret {
  const mounted = new MountedSecrets(dir, () => {});
  return async (_, ref) => {
    try {
      return { kind: 'value', value: mounted.read(ref) };
    } catch (error) {
      return { kind: 'missing', reason: messageOf(error) };
    }
  };
}

/** The secrets of a cluster. */
export function secretsOfCluster(kube: Pick<Kube, 'get' | 'server'>): ReadSecret {
  const asked = new Map<string, ReturnType<Kube['get']>>();
  return async (namespace, { name, key }) => {
    const path = `${namespace}/${name}`;
    const answer = asked.get(path) ?? kube.get(secretType, namespace, name);
    asked.set(path, answer);
    try {
      const secret = await answer;
      if (secret === undefined) return { kind: 'missing', reason: `namespace ${namespace} has no secret ${name}` };
      return valueIn(secret, key) ?? { kind: 'missing', reason: `secret ${name} has no key ${key}` };
    } catch (error) {
      const reason = isApiError(error, 'forbidden') ? `you may not read it (${messageOf(error)})` : messageOf(error);
      return { kind: 'unknown', reason };
    }
  };
}

/** The secrets that are written into the same files as the documents; others are asked of `next`. */
export function secretsInFiles(objects: readonly unknown[], namespace: string, next: ReadSecret): ReadSecret {
  const secrets = objects.filter(isObject).filter(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'Secret');
  return async (space, ref) => {
    const here = secrets.find(({ metadata }) => {
      const { name, namespace: own = namespace } = isObject(metadata) ? metadata : {};
      return name === ref.name && own === space;
    });
    return (here && valueIn(here, ref.key)) ?? next(space, ref);
  };
}

function valueIn(secret: object, key: string): SecretAnswer | undefined {
  const { data, stringData } = secret as { data?: unknown; stringData?: unknown };
  const [encoded, plain] = [isObject(data) ? data[key] : undefined, isObject(stringData) ? stringData[key] : undefined];
  if (typeof plain === 'string') return { kind: 'value', value: plain };
  if (typeof encoded === 'string') return { kind: 'value', value: Buffer.from(encoded, 'base64').toString('utf8') };
  return undefined;
}

/** An object that refers to secrets of its namespace. */
export interface SecretUser {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: unknown;
}

/** Looks for every secret key that one of `users` refers to. */
export async function diagnoseSecrets(users: readonly SecretUser[], read: ReadSecret): Promise<Diagnosis[]> {
  const named = users.flatMap((user) => {
    const inHeaders = new Set(headersIn(user.spec).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []));
    return secretRefsIn(user.spec).map((ref) => ({ user, ref, isHeader: inHeaders.has(ref) }));
  });
  const keyOf = ({ user, ref }: (typeof named)[number]): string => `${user.metadata.namespace}/${ref.name}/${ref.key}`;
  const groups = [...Map.groupBy(named, keyOf).values()];
  return Promise.all(
    groups.flatMap(([first, ...more]) => {
      if (first === undefined) return [];
      const all = [first, ...more];
      const objects = [...new Set(all.map(({ user }) => `${user.kind}/${user.metadata.name}`))];
      const isHeader = all.some((one) => one.isHeader);
      return [
        read(first.user.metadata.namespace, first.ref).then((answer) => diagnoseOne(objects, first, isHeader, answer)),
      ];
    }),
  );
}

function diagnoseOne(
  objects: readonly string[],
  { user, ref: { name, key } }: { readonly user: SecretUser; readonly ref: SecretKeyRef },
  isHeader: boolean,
  answer: SecretAnswer,
): Diagnosis {
  const about = { objects, subject: `secret ${name}, key ${key}` };
  if (answer.kind === 'unknown') {
    const message = `It cannot be examined from here: ${answer.reason}.`;
    return {
      ...about,
      health: 'unchecked',
      message,
      cure: 'choose a --context that may read it, or give a folder with --secrets',
    };
  }
  if (answer.kind === 'missing') {
    const { namespace } = user.metadata;
    const cure = `create it: kubectl -n ${namespace} create secret generic ${name} --from-file=${key}=FILE`;
    return { ...about, health: 'problem', message: `It is missing: ${answer.reason}.`, cure };
  }
  if (isHeader && !isHeaderValue(answer.value.replace(/\r?\n$/, ''))) {
    return {
      ...about,
      health: 'problem',
      message:
        'No header can carry its value, which has a line break, a control character or a character outside Latin-1.',
      cure: 'write the secret again without it',
    };
  }
  return { ...about, health: 'ok', message: 'It exists.' };
}

/** Every list named `headers`, however deep. */
function headersIn(value: unknown): Header[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) =>
    name === 'headers' && Array.isArray(child) ? (child as Header[]) : headersIn(child),
  );
}
