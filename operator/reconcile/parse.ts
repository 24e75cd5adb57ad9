/** Parses custom resources into documents: a stored object may be older than a rule, so each is validated again. */
import { type DocumentIssue, type HydrogenGroup, parse } from '../../crds/index.ts';
import { conditionIn, type KubeObject } from '../kube/objects.ts';
import type { GroupFacts } from '../status/facts.ts';
import type { Document } from '../status/reporter.ts';

export type Issues = readonly Pick<DocumentIssue, 'path' | 'message'>[];

/** The document of an object, or every problem with it. */
export type ParsedObject<D extends Document> =
  | { readonly document: D; readonly issues?: undefined }
  | { readonly document?: undefined; readonly issues: Issues };

/** Validates an object whose document type is `D`. */
export function parseObject<D extends Document>({ apiVersion, kind, metadata, spec }: KubeObject): ParsedObject<D> {
  const result = parse({ apiVersion, kind, metadata, spec });
  return result.ok ? { document: result.resource as D } : { issues: result.issues }; // parse keeps the kind
}

/** The object as a group; undefined if it is absent or invalid. */
export function groupIn(object: KubeObject | undefined): HydrogenGroup | undefined {
  return object && parseObject<HydrogenGroup>(object).document;
}

/** The state of a group, as its members report it. */
export function groupFacts(group: KubeObject): GroupFacts {
  const ready = conditionIn(group, 'Ready');
  if (ready?.status === 'True' && ready.observedGeneration === group.metadata.generation) return { state: 'ready' };
  return { state: 'notReady', message: ready?.message ?? 'it has not been reconciled yet' };
}
