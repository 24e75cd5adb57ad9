/** The cluster of the operator's benchmark: a kube-apiserver on etcd with hydrogen's definitions and the gateways. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { apiVersion } from '../../crds/contract.ts';
import { customResourceDefinitions } from '../../crds/manifest.ts';
import { operatorObjects } from '../../infra/index.ts';
import { startApiServer, type TestApiServer } from '../../test/kit/apiserver.ts';
import { eventually } from '../../test/kit/eventually.ts';

/** Namespace of the gateways. */
const namespace = 'bench';

/** The children of one gateway of the benchmark. */
const childPaths: Readonly<Record<string, number>> = {
  '/api/v1/namespaces/bench/configmaps': 1,
  '/api/v1/namespaces/bench/services': 2,
  '/apis/apps/v1/namespaces/bench/deployments': 1,
  '/apis/autoscaling/v2/namespaces/bench/horizontalpodautoscalers': 1,
  '/apis/policy/v1/namespaces/bench/poddisruptionbudgets': 1,
  '/apis/networking.k8s.io/v1/namespaces/bench/networkpolicies': 1,
  '/apis/networking.k8s.io/v1/namespaces/bench/ingresses': 1,
};

/** How many children a gateway of the benchmark has. */
export const childrenOfEach = Object.values(childPaths).reduce((sum, count) => sum + count, 0);

export interface BenchCluster extends AsyncDisposable {
  readonly kubeconfig: string;
  /** The service account files and environment that a pod of the operator has. */
  readonly pod: { readonly serviceAccount: string; readonly env: Readonly<Record<string, string>> };
  /** Creates a group and this many gateways, as fast as the server takes them. */
  create(gateways: number, natsUrl: string): Promise<void>;
  /** Resolves when every child is there and every gateway has a status of its generation. */
  untilInForce(gateways: number, timeoutMs: number): Promise<void>;
}

interface Listed {
  readonly items: readonly {
    readonly metadata: { readonly generation: number };
    readonly status?: { readonly observedGeneration?: number };
  }[];
}

const creators = 16;
const pollMs = 250;

export async function startBenchCluster(): Promise<BenchCluster> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startApiServer());
  for (const definition of customResourceDefinitions()) {
    await apply(
      cluster,
      `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition.metadata.name}`,
      definition,
    );
  }
  for (const object of operatorObjects()) await apply(cluster, pathOf(object as unknown as Named), object);
  await apply(cluster, `/api/v1/namespaces/${namespace}`, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-bench-account-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  await writeServiceAccount(cluster, folder);
  const { hostname, port } = new URL(cluster.url);
  const owned = stack.move();
  return {
    kubeconfig: cluster.kubeconfig,
    pod: { serviceAccount: folder, env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port } },
    create: async (gateways, natsUrl) => {
      await eventually(() => cluster.get(customPath('HydrogenGateway')));
      await create(cluster, 'HydrogenGroup', 'chat', { nats: { servers: [natsUrl] } });
      let next = 0;
      const worker = async (): Promise<void> => {
        while (next < gateways) await create(cluster, 'HydrogenGateway', `chat-${next++}`, gatewaySpec);
      };
      await Promise.all(Array.from({ length: creators }, worker));
    },
    untilInForce: async (gateways, timeoutMs) => {
      const poll = { timeoutMs, everyMs: pollMs };
      for (const [path, each] of Object.entries(childPaths)) {
        await eventually(async () => (await countAt(cluster, path)) >= each * gateways, poll);
      }
      await eventually(
        async () => {
          const { items } = (await cluster.get(customPath('HydrogenGateway'))) as Listed;
          return items.every(({ metadata, status }) => status?.observedGeneration === metadata.generation);
        },
        { ...poll, everyMs: 1000 },
      );
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const gatewaySpec = {
  groupRef: { name: 'chat' },
  endpoints: [{ path: '/chat' }, { path: '/feed' }],
  autoscaling: { minReplicas: 2, maxReplicas: 10 },
  ingress: { className: 'nginx', hosts: ['chat.example.com'] },
};

interface Named {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

async function create(cluster: TestApiServer, kind: string, name: string, spec: object): Promise<void> {
  const { status, body } = await cluster.call('POST', customPath(kind), { apiVersion, kind, metadata: { name }, spec });
  if (status !== 201) throw new Error(`${kind}/${name}: ${status} ${JSON.stringify(body)}`);
}

async function apply(cluster: TestApiServer, path: string, object: unknown): Promise<void> {
  const { status, body } = await cluster.apply(path, object);
  if (status >= 300) throw new Error(`${path}: ${status} ${JSON.stringify(body).slice(0, 2000)}`);
}

/** Counts the objects of a collection by listing one. */
async function countAt(cluster: TestApiServer, path: string): Promise<number> {
  const { items, metadata } = await cluster.get(`${path}?limit=1`);
  return items.length + (metadata.remainingItemCount ?? 0);
}

/** Writes the files of the operator's service account into `folder`, as a pod finds them. */
export async function writeServiceAccount(cluster: TestApiServer, folder: string): Promise<void> {
  const account = '/api/v1/namespaces/hydrogen-system/serviceaccounts/hydrogen-operator/token';
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7200 } };
  const { body } = await cluster.call('POST', account, request);
  const config = JSON.parse(await readFile(cluster.kubeconfig, 'utf8'));
  const ca = Buffer.from(config.clusters[0].cluster['certificate-authority-data'], 'base64');
  await writeFile(join(folder, 'token'), body.status.token);
  await writeFile(join(folder, 'ca.crt'), ca);
  await writeFile(join(folder, 'namespace'), 'hydrogen-system');
}

function customPath(kind: string): string {
  return `/apis/${apiVersion}/namespaces/${namespace}/${kind.toLowerCase()}s`;
}

function pathOf({ apiVersion: version, kind, metadata }: Named): string {
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`;
  const scope = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `${root}${scope}/${kind.toLowerCase().replace(/y$/, 'ie')}s/${metadata.name}`;
}
