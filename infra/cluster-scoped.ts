/** Cluster-scoped objects. */
import { type ApiObject, JsonPatch } from 'cdk8s';

/**
 * Removes the namespace of the chart, which cdk8s adds to every object: the API server would drop it, and diff tools
 * would show a difference forever.
 */
export function clusterScoped(object: ApiObject): void {
  if (object.metadata.namespace !== undefined) object.addJsonPatch(JsonPatch.remove('/metadata/namespace'));
}
