/** A real Kubernetes API server on a real etcd, for a test: its own ports, its own data, gone afterwards. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { binariesAdvice, findApiServerBinaries } from './apiserver-binaries.ts';
import { type ApiClient, createApiClient } from './apiserver-client.ts';
import { apiServerFlags, etcdFlags, featureFlags, kubeconfigOf } from './apiserver-flags.ts';
import { selfSigned } from './certificate.ts';
import { freePorts } from './ports.ts';
import { whyNot } from './program.ts';
import { startServer, untilReady } from './server-process.ts';

export interface TestApiServer extends ApiClient, AsyncDisposable {
  /** Path of a kubeconfig whose user may do everything. */
  readonly kubeconfig: string;
  /** Folder of the server and its companions. */
  readonly folder: string;
  /** A token of a service account, as the kubelet asks for it. */
  tokenOf(namespace: string, account: string, request?: object): Promise<string>;
  /** Path of a kubeconfig of a service account, which may do what its roles allow. */
  kubeconfigOf(namespace: string, account: string): Promise<string>;
  /** Kills the server; etcd keeps running. */
  stop(): Promise<void>;
  /** Starts it again: the same port, the same data. */
  start(): Promise<void>;
  /** Compacts etcd: lists and watches from any version before the present one fail. */
  compact(): Promise<void>;
}

export interface ApiServerOptions {
  /** True when controllers are going to run, so that pods get service accounts. @default false */
  readonly hasControllers?: boolean;
  /** Further flags of kube-apiserver. @default - none */
  readonly flags?: readonly string[];
}

/** A server that answers, with a client that may do everything. @throws when none can be found or started */
export async function startApiServer({
  hasControllers = false,
  flags: more = [],
}: ApiServerOptions = {}): Promise<TestApiServer> {
  const binaries = await findApiServerBinaries();
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-apiserver-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const [etcdPort, peerPort, port] = await freePorts(3);
  const admin = selfSigned('admin', 'system:masters');
  const url = `https://127.0.0.1:${port}`;
  const kubeconfig = join(folder, 'kubeconfig');
  await writeFile(join(folder, 'admin.crt'), admin.certificate);
  stack.use(startServer(binaries.etcd, etcdFlags(folder, `${etcdPort}`, `${peerPort}`)));
  const ports = { etcd: `${etcdPort}`, server: `${port}` };
  const flags = [...(await apiServerFlags(folder, ports, hasControllers)), ...featureFlags(binaries), ...more];
  let server = startServer(binaries.apiServer, flags);
  stack.defer(() => server.stop());
  const ca = await untilReady(server, () => readFile(join(folder, 'apiserver.crt'), 'utf8'));
  const client = createApiClient(url, ca, admin);
  stack.defer(() => client.close());
  const answers = (): Promise<unknown> => client.get('/apis/apiextensions.k8s.io/v1');
  await untilReady(server, answers);
  await writeFile(kubeconfig, kubeconfigOf(url, admin, ca));
  const parts = stack.move();
  return {
    ...client,
    kubeconfig,
    folder,
    tokenOf: (namespace, account, request) => tokenOf(client, namespace, account, request),
    kubeconfigOf: async (namespace, account) => {
      const path = join(folder, `${namespace}.${account}.kubeconfig`);
      await writeFile(path, kubeconfigOf(url, { token: await tokenOf(client, namespace, account) }, ca));
      return path;
    },
    stop: () => server.stop(),
    start: async () => {
      server = startServer(binaries.apiServer, flags);
      await untilReady(server, answers);
    },
    compact: () => compact(`http://127.0.0.1:${etcdPort}`),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function tokenOf(client: ApiClient, namespace: string, account: string, request: object = {}): Promise<string> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: request };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const answer = await client.call('POST', path, body);
  if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body.status.token;
}

async function compact(etcd: string): Promise<void> {
  const ask = async (path: string, question: object): Promise<{ header: { revision: string } }> => {
    const answer = await fetch(`${etcd}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(question) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { header: { revision: string } };
  };
  const { header } = await ask('range', { key: btoa('/'), limit: '1' });
  await ask('compaction', { revision: header.revision, physical: true });
}

/** Why tests on an API server cannot run here, or false. Use it as `test(..., { skip: await apiServerOrSkip() }, ...)`. */
export function apiServerOrSkip(): Promise<string | false> {
  return whyNot('Kubernetes API server', binariesAdvice, findApiServerBinaries);
}
