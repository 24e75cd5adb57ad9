/**
 * Draws a group with its gateways, message processors and their workloads as a tree of text, each with its bad conditions.
 */

import { isGood, summaries } from '../../crds/conditions.ts';
import type { Kube } from '../kube/client.ts';
import { groupNameOf, keyOf } from '../kube/keys.ts';
import { childTypeOf, conditionIn, conditionsIn, customTypes, type KubeObject } from '../kube/objects.ts';
import { workloadKey, workloadOf } from './workload.ts';

const workloadTypes = [
  childTypeOf({ apiVersion: 'apps/v1', kind: 'Deployment' }),
  childTypeOf({ apiVersion: 'apps/v1', kind: 'StatefulSet' }),
];

interface Node {
  readonly lines: readonly string[];
  readonly children: readonly Node[];
}

/** The tree; undefined if the group does not exist and no object refers to it. @throws {ApiError} */
export async function describeGroup(
  kube: Pick<Kube, 'list' | 'get'>,
  namespace: string,
  name: string,
): Promise<string | undefined> {
  const group = await kube.get(customTypes.HydrogenGroup, namespace, name);
  const lists = await Promise.all(
    [customTypes.HydrogenGateway, customTypes.HydrogenMessageProcessor].map((type) => kube.list(type, { namespace })),
  );
  const members = lists.flatMap(({ items }) => items).filter((member) => groupNameOf(member) === name);
  if (group === undefined && members.length === 0) return undefined;
  const labelSelector = 'app.kubernetes.io/managed-by=hydrogen';
  const workloads = await Promise.all(workloadTypes.map((type) => kube.list(type, { namespace, labelSelector })));
  const byKey = new Map(workloads.flatMap(({ items }) => items).map((object) => [keyOf(object), object]));
  const root: Node = {
    lines: group === undefined ? [`HydrogenGroup/${name}  does not exist`] : linesOf(group),
    children: [...(group === undefined ? [] : workloadsOf(group, byKey)), ...members.map((one) => nodeOf(one, byKey))],
  };
  return `${draw(root, '', '').join('\n')}\n`;
}

function nodeOf(member: KubeObject, workloads: ReadonlyMap<string, KubeObject>): Node {
  return { lines: linesOf(member), children: workloadsOf(member, workloads) };
}

/** The workload of `owner`, if it controls one. */
function workloadsOf(owner: KubeObject, workloads: ReadonlyMap<string, KubeObject>): Node[] {
  const kind = owner.kind as keyof typeof customTypes; // only the three kinds are listed
  const object = workloads.get(workloadKey(kind, owner.metadata.namespace ?? '', owner.metadata.name));
  const isOwned = object?.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) === true;
  const workload = isOwned ? workloadOf(object) : undefined;
  if (workload === undefined) return [];
  const { desired, available, updated } = workload;
  const counts = `${available} of ${desired} pods available, ${updated} up to date`;
  return [{ lines: [`${workload.object}  ${counts}`], children: [] }];
}

/** The name of an object and its Ready status, then a line for every other bad condition. */
function linesOf(object: KubeObject): string[] {
  const ready = conditionIn(object, 'Ready');
  const isStale = ready !== undefined && ready.observedGeneration !== object.metadata.generation;
  const state = ready === undefined ? 'not reconciled yet: is the operator running?' : `Ready=${ready.status}`;
  const head = `${object.kind}/${object.metadata.name}  ${state}${isStale ? ' (for an earlier specification)' : ''}`;
  const bad = conditionsIn(object).filter((condition) => !(condition.type in summaries) && !isGood(condition));
  return [head, ...bad.map(({ type, status, reason, message }) => `  ${type}=${status} ${reason}: ${message}`)];
}

function draw({ lines, children }: Node, first: string, rest: string): string[] {
  const [head = '', ...more] = lines;
  const hasChildren = children.length > 0;
  return [
    `${first}${head}`,
    ...more.map((line) => `${rest}${hasChildren ? '│ ' : '  '}${line.slice(2)}`),
    ...children.flatMap((child, index) => {
      const isLast = index === children.length - 1;
      return draw(child, `${rest}${isLast ? '└─' : '├─'}`, `${rest}${isLast ? '  ' : '│ '}`);
    }),
  ];
}
