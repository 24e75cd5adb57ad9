/** An operator with a real API server: its permissions, and objects as a user would apply them. */

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';

import { type HydrogenOperatorProps, operatorObjects } from '../../../infra/index.ts';
import type { TestApiServer } from '../../kit/apiserver.ts';
import type { TcpProxy } from '../../kit/tcp-proxy.ts';
import type { Any } from './api.ts';

/** Paths of the custom resources. */
export const customPath = '/apis/hydrogen.dev/v1alpha1/namespaces/shop';

/** Applies as a user would; a field that is left out is removed. */
export async function put(cluster: TestApiServer, object: Any): Promise<Any> {
  const path = `${customPath}/${object.kind.toLowerCase()}s/${object.metadata.name}`;
  const { status, body } = await cluster.apply(path, object, 'user');
  assert.ok(status < 300, `${status} ${JSON.stringify(body)}`);
  return body;
}

function pathOf({ apiVersion, kind, metadata }: Any): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `${root}${scope}/${kind.toLowerCase().replace(/y$/, 'ie')}s/${metadata.name}`;
}

/** A kubeconfig of the operator's service account, whose only permissions are those of the emitted roles. */
export async function asOperator(cluster: TestApiServer, props: HydrogenOperatorProps = {}): Promise<string> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  await cluster.apply('/api/v1/namespaces/shop', namespace);
  for (const object of operatorObjects(props) as Any[]) {
    const { status, body } = await cluster.apply(pathOf(object), object);
    assert.ok(status < 300, `${object.kind}: ${status} ${JSON.stringify(body)}`);
  }
  return cluster.kubeconfigOf('hydrogen-system', 'hydrogen-operator');
}

/** The same user over a different connection. */
export async function throughProxy(kubeconfig: string, { port }: TcpProxy): Promise<string> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8'));
  config.clusters[0].cluster.server = `https://127.0.0.1:${port}`;
  await writeFile(`${kubeconfig}.proxy`, JSON.stringify(config));
  return `${kubeconfig}.proxy`;
}
