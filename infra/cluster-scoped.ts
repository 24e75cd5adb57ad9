/** Metadata of objects that are in no namespace. */
import type { ApiObjectMetadata } from 'cdk8s';

/**
 * `metadata` so that cdk8s does not add the namespace of the chart: the API server would drop it, but tools that compare
 * would show it as a difference for ever.
 */
export function clusterScoped(metadata: ApiObjectMetadata): ApiObjectMetadata {
  // Present and undefined is what keeps the chart's namespace out; the type allows only absent.
  return { ...metadata, namespace: undefined } as unknown as ApiObjectMetadata;
}
