/** Objects that are in no namespace. */
import { type ApiObject, JsonPatch } from 'cdk8s';

/**
 * Takes the namespace of the chart, which cdk8s adds, off an object again: the API server would drop it, but tools that
 * compare would show it as a difference for ever.
 */
export function clusterScoped(object: ApiObject): void {
  if (object.metadata.namespace !== undefined) object.addJsonPatch(JsonPatch.remove('/metadata/namespace'));
}
