/** The start of every test with Argo CD: a cluster, a repository with this tree's manifests, NATS where they expect it. */

import { after, afterEach, before } from 'node:test';
import { stageOrSkip } from '../e2e/chat.ts';
import { type Any, type Platform, startPlatform } from '../e2e/platform.ts';
import { type ArgoCd, argoCdOrSkip, startArgoCd } from '../kit/argocd.ts';
import { createRepository, type GitRepository } from '../kit/git-repository.ts';
import { root } from '../kit/hydrogen.ts';
import { type MetricsApi, startMetricsApi } from '../kit/metrics-api.ts';
import { startNats } from '../kit/nats.ts';

export interface ArgoStage {
  readonly platform: Platform;
  readonly argo: ArgoCd;
  /** `dist/` and `examples/gitops/` of this tree. */
  readonly repository: GitRepository;
  readonly metrics: MetricsApi;
  /** The object, or the list, in the namespace of the examples; undefined when there is none. */
  find(resource: string): Promise<Any | undefined>;
}

const namespace = 'chat';
/** Of probes: beside Argo CD, a process of a pod may need seconds to start. */
const speed = 2;

/** Why the tests cannot run here, or false. */
export async function argoStageOrSkip(): Promise<string | false> {
  return (await argoCdOrSkip()) || (await stageOrSkip());
}

/** One stage for all tests of a file, which exists while they run. When a test fails, all output is printed. */
export function useArgoStage(skip: string | false): ArgoStage {
  const stack = new AsyncDisposableStack();
  let parts: Omit<ArgoStage, 'find'> | undefined;
  const there = (): NonNullable<typeof parts> => {
    if (parts === undefined) throw new Error('the stage is there only while tests run');
    return parts;
  };
  before(async () => {
    if (skip !== false) return;
    const nats = stack.use(await startNats());
    const repository = stack.use(await createRepository(root, ['dist', 'examples/gitops']));
    const platform = stack.use(await startPlatform({ hasOperator: false, speed }));
    await publishNats(platform, nats.port);
    const metrics = stack.use(await startMetricsApi(platform.cluster));
    const argo = stack.use(await startArgoCd(platform.cluster, repository));
    parts = { platform, argo, repository, metrics };
  });
  after(() => stack.disposeAsync());
  afterEach((context) => {
    const { passed, name } = context as { readonly passed?: boolean; readonly name: string }; // a test, not a suite
    if (passed !== false || parts === undefined) return;
    process.stderr.write(`\n--- ${name}\n${parts.argo.log()}\n${parts.platform.kubelet.allLogs()}\n`);
  });
  return {
    get platform() {
      return there().platform;
    },
    get argo() {
      return there().argo;
    },
    get repository() {
      return there().repository;
    },
    get metrics() {
      return there().metrics;
    },
    find: async (resource) => {
      const found = ['-n', namespace, 'get', resource, '-o', 'json', '--ignore-not-found'];
      const text = await there().platform.cluster.kubectl(found);
      return text === '' ? undefined : JSON.parse(text);
    },
  };
}

/** `nats.messaging:4222`, as the examples have it; the kubelet of tests leads 10.0.0.1 to 127.0.0.1. */
async function publishNats({ cluster }: Platform, port: number): Promise<void> {
  const metadata = { name: 'nats', namespace: 'messaging' };
  const labels = { 'kubernetes.io/service-name': metadata.name };
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: metadata.namespace } },
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 4222 }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels },
      addressType: 'IPv4',
      ports: [{ name: '', port }],
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
    },
  ];
  await cluster.kubectl(['apply', '-f', '-'], { input: { apiVersion: 'v1', kind: 'List', items } });
}
