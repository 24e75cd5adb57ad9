/** The volume with the secret keys that a process's documents refer to. Values never pass through here. */
import type * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';

import { groupSecretRefs, type HydrogenGroup, type MemberRole, type SecretKeyRef } from '../crds/index.ts';
import { secretRefsIn } from '../crds/secret-refs.ts';

/** Every user of the container may read the files; the volume is in memory. */
const fileMode = 0o444;

/** The volume source of the pods of a member. The environment of its template is read from the secrets themselves. */
export function memberSecrets(
  group: HydrogenGroup,
  role: MemberRole,
  spec: { readonly template?: unknown },
): k8s.ProjectedVolumeSource | undefined {
  return secretsVolume([...groupSecretRefs(group, role), ...secretRefsIn({ ...spec, template: undefined })]);
}

/**
 * The volume source with `<secret name>/<key>` for each reference, sorted, so that a different order in the document does
 * not restart pods; undefined if there are no references.
 */
function secretsVolume(refs: readonly SecretKeyRef[]): k8s.ProjectedVolumeSource | undefined {
  const keysOf = new Map<string, Set<string>>();
  for (const { name, key } of refs) keysOf.set(name, (keysOf.get(name) ?? new Set()).add(key));
  if (keysOf.size === 0) return undefined;
  const sources = [...keysOf.entries()].sort(byFirst).map(([name, keys]) => ({
    secret: { name, items: [...keys].sort().map((key) => ({ key, path: `${name}/${key}` })) },
  }));
  return { defaultMode: fileMode, sources };
}

function byFirst([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
