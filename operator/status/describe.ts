/**
 * Reads the groups of a cluster with their gateways, message processors and workloads, and draws one as a tree of text, each
 * object with its bad conditions.
 */

import { isGood, summaries } from '../../crds/conditions.ts';
import type { Condition } from '../../crds/index.ts';
import type { Kube } from '../kube/client.ts';
import { groupNameOf, keyOf } from '../kube/keys.ts';
import { childTypeOf, conditionIn, conditionsIn, customTypes, type KubeObject } from '../kube/objects.ts';
import { workloadKey, workloadOf } from './workload.ts';

const workloadTypes = [
  childTypeOf({ apiVersion: 'apps/v1', kind: 'Deployment' }),
  childTypeOf({ apiVersion: 'apps/v1', kind: 'StatefulSet' }),
];

/** A custom resource as far as a status is concerned. */
export interface ObjectView {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Status of the condition Ready. `Unreconciled`: it has none yet. `Missing`: others refer to an object that does not exist. */
  readonly ready: Condition['status'] | 'Unreconciled' | 'Missing';
  /** Whether the conditions are for an earlier specification. */
  readonly isStale: boolean;
  /** The conditions that are not as they should be, except for the summaries. */
  readonly problems: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'message'>[];
  readonly workloads: readonly WorkloadView[];
}

/** Numbers of pods of a workload. */
export interface WorkloadView {
  /** `Deployment/chat-gateway` */
  readonly object: string;
  readonly desired: number;
  readonly available: number;
  readonly updated: number;
}

/** A group with its gateways and message processors. */
export interface GroupView extends ObjectView {
  readonly members: readonly ObjectView[];
}

/**
 * The groups of a namespace, or of all of them, by namespace and name. One that does not exist is among them if an object
 * refers to it. @throws {ApiError}
 */
export async function readGroups(kube: Pick<Kube, 'list'>, namespace: string | undefined): Promise<GroupView[]> {
  const where = namespace === undefined ? {} : { namespace };
  const types = [customTypes.HydrogenGroup, customTypes.HydrogenGateway, customTypes.HydrogenMessageProcessor];
  const labelSelector = 'app.kubernetes.io/managed-by=hydrogen';
  const [customs, workloads] = await Promise.all([
    Promise.all(types.map((type) => kube.list(type, where))),
    Promise.all(workloadTypes.map((type) => kube.list(type, { ...where, labelSelector }))),
  ]);
  const [groups = [], ...rest] = customs.map(({ items }) => items);
  const byKey = new Map(workloads.flatMap(({ items }) => items).map((object) => [keyOf(object), object]));
  const members = Map.groupBy(rest.flat(), (member) => `${member.metadata.namespace}/${groupNameOf(member)}`);
  const known = groups.map((group) => viewOf(group, byKey));
  const names = new Set(known.map(({ namespace: space, name }) => `${space}/${name}`));
  const missing = [...members.keys()].filter((name) => !names.has(name)).map(missingGroup);
  return [...known, ...missing]
    .map((group) => ({
      ...group,
      members: (members.get(`${group.namespace}/${group.name}`) ?? []).map((member) => viewOf(member, byKey)),
    }))
    .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

function missingGroup(path: string): ObjectView {
  const [namespace = '', name = ''] = path.split('/');
  return { kind: 'HydrogenGroup', namespace, name, ready: 'Missing', isStale: false, problems: [], workloads: [] };
}

function viewOf(object: KubeObject, workloads: ReadonlyMap<string, KubeObject>): ObjectView {
  const ready = conditionIn(object, 'Ready');
  const bad = conditionsIn(object).filter((condition) => !(condition.type in summaries) && !isGood(condition));
  return {
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    ready: ready?.status ?? 'Unreconciled',
    isStale: ready !== undefined && ready.observedGeneration !== object.metadata.generation,
    problems: bad.map(({ type, status, reason, message }) => ({ type, status, reason, message })),
    workloads: workloadsOf(object, workloads),
  };
}

/** The workload of `owner`, if it controls one. */
function workloadsOf(owner: KubeObject, workloads: ReadonlyMap<string, KubeObject>): WorkloadView[] {
  const kind = owner.kind as keyof typeof customTypes; // only the three kinds are listed
  const object = workloads.get(workloadKey(kind, owner.metadata.namespace ?? '', owner.metadata.name));
  const isOwned = object?.metadata.ownerReferences?.some(({ uid }) => uid === owner.metadata.uid) === true;
  const workload = isOwned ? workloadOf(object) : undefined;
  if (workload === undefined) return [];
  const { object: name, desired, available, updated } = workload;
  return [{ object: name, desired, available, updated }];
}

/** The tree of a group. @param judged marks a text as good or bad. Default: as it is */
export function drawGroup(group: GroupView, judged = (text: string, _isGood: boolean): string => text): string {
  const treeOf = (view: ObjectView, children: readonly Node[] = []): Node => ({
    lines: linesOf(view, judged),
    children: [...view.workloads.map(workloadNode), ...children],
  });
  const root = treeOf(
    group,
    group.members.map((member) => treeOf(member)),
  );
  return `${draw(root, '', '').join('\n')}\n`;
}

interface Node {
  readonly lines: readonly string[];
  readonly children: readonly Node[];
}

function workloadNode({ object, desired, available, updated }: WorkloadView): Node {
  return { lines: [`${object}  ${available} of ${desired} pods available, ${updated} up to date`], children: [] };
}

/** The name of an object and its Ready status, then a line for every other bad condition. */
function linesOf(view: ObjectView, judged: (text: string, isGood: boolean) => string): string[] {
  const state = judged(stateOf(view), view.ready === 'True');
  const head = `${view.kind}/${view.name}  ${state}${view.isStale ? ' (for an earlier specification)' : ''}`;
  return [
    head,
    ...view.problems.map(({ type, status, reason, message }) => `  ${type}=${status} ${reason}: ${message}`),
  ];
}

function stateOf({ ready }: ObjectView): string {
  if (ready === 'Missing') return 'does not exist';
  if (ready === 'Unreconciled') return 'not reconciled yet: is the operator running?';
  return `Ready=${ready}`;
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
