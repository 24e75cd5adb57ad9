/** The metrics API of a cluster, `metrics.k8s.io`, in which every pod uses as much as the test says: autoscalers read it. */

import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Any } from './any.ts';
import { selfSigned } from './certificate.ts';
import type { ControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';

export interface MetricsApi extends AsyncDisposable {
  /** Processor time of each pod from now on, such as `100m`. */
  use(cpu: string): void;
}

const group = 'metrics.k8s.io';
const version = 'v1beta1';
const apiVersion = `${group}/${version}`;
const name = `${version}.${group}`;

/** Every pod uses 10m until `use` says something else. */
export async function startMetricsApi(cluster: ControlPlane): Promise<MetricsApi> {
  let cpu = '10m';
  const { certificate, key } = selfSigned('metrics', 'test');
  const server = createServer({ cert: certificate, key }, async (request, response) => {
    const body = await answer(new URL(request.url ?? '', 'https://metrics'), cluster, cpu).catch(() => undefined);
    response.writeHead(body === undefined ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo; // it listens on TCP
  await cluster.kubectl(['apply', '-f', '-'], { input: { apiVersion: 'v1', kind: 'List', items: registration(port) } });
  await eventually(() => cluster.get(`/apis/${apiVersion}`), { timeoutMs: 30_000, everyMs: 100 });
  return {
    use: (next) => {
      cpu = next;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An API server reaches a group behind a service of this type at the name itself. */
function registration(port: number): object[] {
  const service = { name: 'metrics', namespace: 'kube-system', port };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: service.name, namespace: service.namespace },
      spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
    },
    {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name },
      spec: { group, version, service, insecureSkipTLSVerify: true, groupPriorityMinimum: 100, versionPriority: 100 },
    },
  ];
}

async function answer({ pathname, search }: URL, cluster: ControlPlane, cpu: string): Promise<object> {
  const namespace = /\/namespaces\/([^/]+)\/pods$/.exec(pathname)?.[1];
  if (namespace === undefined) return resources;
  const { items } = await cluster.get(`/api/v1/namespaces/${namespace}/pods${search}`);
  return { apiVersion, kind: 'PodMetricsList', metadata: {}, items: items.map((pod: Any) => metricsOf(pod, cpu)) };
}

function metricsOf({ metadata, spec }: Any, cpu: string): object {
  return {
    metadata: { name: metadata.name, namespace: metadata.namespace, labels: metadata.labels },
    timestamp: new Date().toISOString(),
    window: '1s',
    containers: spec.containers.map((container: Any) => ({ name: container.name, usage: { cpu, memory: '64Mi' } })),
  };
}

const resources = {
  apiVersion: 'v1',
  kind: 'APIResourceList',
  groupVersion: apiVersion,
  resources: [{ name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: ['get', 'list'] }],
};
