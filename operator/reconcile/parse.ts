/** Custom resources as documents: a stored object may be older than a rule, so each is checked anew. */
import { type DocumentIssue, type HydrogenGroup, parse } from '../../crds/index.ts';
import { conditionIn, type KubeObject } from '../kube/objects.ts';
import type { GroupFacts } from '../status/facts.ts';
import type { Document } from '../status/reporter.ts';

export type Issues = readonly Pick<DocumentIssue, 'path' | 'message'>[];

/** The document, or everything that is wrong with it. */
export type Checked<D extends Document> = { readonly document: D } | { readonly issues: Issues };

/** Checks an object of the kind that `D` is the document of. */
export function checked<D extends Document>({ apiVersion, kind, metadata, spec }: KubeObject): Checked<D> {
  const result = parse({ apiVersion, kind, metadata, spec });
  return result.ok ? { document: result.resource as D } : { issues: result.issues }; // parse keeps the kind
}

/** The valid group that an object is; undefined when there is none. */
export function groupIn(object: KubeObject | undefined): HydrogenGroup | undefined {
  const result = object && checked<HydrogenGroup>(object);
  return result && 'document' in result ? result.document : undefined;
}

/** How a group stands, as its members tell it. */
export function groupFacts(group: KubeObject): GroupFacts {
  const ready = conditionIn(group, 'Ready');
  if (ready?.status === 'True' && ready.observedGeneration === group.metadata.generation) return { state: 'ready' };
  return { state: 'notReady', message: ready?.message ?? 'it has not been looked at yet' };
}
