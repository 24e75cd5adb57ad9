/** A test cluster with hydrogen's definitions. */

import { customResourceDefinitions } from '../../crds/manifest.ts';
import { type ApiServerOptions, startApiServer, type TestApiServer } from '../kit/apiserver.ts';
import { eventually } from '../kit/eventually.ts';

/** Path of the definitions. */
export const definitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Path of the objects of `kind` in the default namespace, or of the one with this name. */
export function pathOf(kind: string, name?: string): string {
  const list = `/apis/hydrogen.dev/v1alpha1/namespaces/default/${kind.toLowerCase()}s`;
  return name === undefined ? list : `${list}/${name}`;
}

/** An API server that serves the three kinds. */
export async function startCluster(options: ApiServerOptions = {}): Promise<TestApiServer> {
  const cluster = await startApiServer(options);
  try {
    for (const definition of customResourceDefinitions()) {
      const { status, body } = await cluster.apply(`${definitionsPath}/${definition.metadata.name}`, definition);
      if (status !== 201)
        throw new Error(`${definition.metadata.name}: ${status} ${JSON.stringify(body).slice(0, 2000)}`);
    }
    for (const { spec } of customResourceDefinitions()) {
      await eventually(() => cluster.get(pathOf(String(spec.names.kind))));
    }
    return cluster;
  } catch (err) {
    await cluster[Symbol.asyncDispose]();
    throw err;
  }
}
