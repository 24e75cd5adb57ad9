/** Whether the endpoints of gateways and message processors match. Only names are compared, so invalid objects count too. */
import type { Store } from '../cache/store.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { EndpointFacts } from '../status/facts.ts';

interface MemberSpec {
  readonly mode?: unknown;
  readonly endpoints?: readonly (string | { readonly path?: string })[];
}

/** The endpoints at which an object takes messages; `all`: those of its group. */
function endpointsOf({ kind, spec }: KubeObject): readonly string[] | 'all' {
  const { mode, endpoints } = (spec ?? {}) as MemberSpec;
  if (kind === 'HydrogenGateway' && mode === 'ServerToClient') return [];
  if (!Array.isArray(endpoints)) return kind === 'HydrogenGateway' ? [] : 'all';
  return endpoints.map((one: string | { readonly path?: string }) =>
    typeof one === 'string' ? one : (one.path ?? ''),
  );
}

/** Undefined for a gateway that takes no messages. @param group name of its group */
export function endpointFacts(object: KubeObject, group: string, store: Store): EndpointFacts | undefined {
  const isGateway = object.kind === 'HydrogenGateway';
  const own = endpointsOf(object);
  if (isGateway && own.length === 0) return undefined;
  const otherKind = isGateway ? 'HydrogenMessageProcessor' : 'HydrogenGateway';
  const others = store
    .membersOf(object.metadata.namespace ?? '', group)
    .filter((key) => key.startsWith(`${otherKind}/`))
    .flatMap((key) => store.custom(key) ?? [])
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(endpointsOf);
  const counterpart = isGateway ? 'processor' : 'gateway';
  if (own === 'all') return { counterpart, missing: others.some(({ length }) => length > 0) ? [] : 'all' };
  if (others.includes('all')) return { counterpart, missing: [] };
  const there = new Set(others.flat());
  return { counterpart, missing: own.filter((path) => !there.has(path)) };
}
