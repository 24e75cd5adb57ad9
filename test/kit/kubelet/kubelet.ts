/**
 * A kubelet and a scheduler for tests: every pod of the cluster is bound to one node, and its containers run as processes
 * of this machine, on a loopback address of the pod's own. What a container runtime would isolate is not: there are no
 * mounts, users, limits or network policies. Linux only.
 */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestApiServer } from '../apiserver.ts';
import { type Change, startInformer } from '../informer.ts';
import type { DataStore } from './data.ts';
import type { Images } from './images.ts';
import { createPodNetwork, writeServices } from './network.ts';
import type { ApiObject, DataObject, EndpointSlice, Pod, Service } from './objects.ts';
import { type PodWorker, startPod } from './pod.ts';
import { persist, podPath } from './status.ts';

export interface KubeletOptions {
  /** What runs for which image; looked at whenever a container starts. */
  readonly images: Images;
  /** By how much the periods of probes are divided. @default 10 */
  readonly speed?: number;
}

export interface TestKubelet extends AsyncDisposable {
  /** What the containers of every pod of this name printed, also of those that are gone. */
  logs(namespace: string, pod: string): string;
  /** Everything that pods printed, for the message of a test that failed. */
  allLogs(): string;
  /** Process id of the first container. @throws while it does not run */
  processOf(namespace: string, pod: string): number;
}

const nodeName = 'test-node';

export async function startKubelet(server: TestApiServer, options: KubeletOptions): Promise<TestKubelet> {
  const { images, speed = 10 } = options;
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-kubelet-'));
  const places = {
    pods: join(folder, 'pods'),
    claims: join(folder, 'claims'),
    servicesFile: join(folder, 'services.json'),
  };
  await mkdir(places.pods);
  const network = createPodNetwork();
  const stopped = new AbortController();
  const workers = new Map<string, PodWorker>();
  /** Containers of every pod that there ever was, by its name, which pods of a stateful set pass on. */
  const known = new Map<string, PodWorker['containers'][]>();
  writeServices(places.servicesFile, [], []);

  const configMaps = startInformer<DataObject>(server, '/api/v1/configmaps', refresh);
  const secrets = startInformer<DataObject>(server, '/api/v1/secrets', refresh);
  const claims = startInformer<ApiObject>(server, '/api/v1/persistentvolumeclaims');
  const services = startInformer<Service>(server, '/api/v1/services', connect);
  const slices = startInformer<EndpointSlice>(server, '/apis/discovery.k8s.io/v1/endpointslices', connect);
  await register(server, network.nodeAddress);
  await Promise.all([configMaps, secrets, claims, services, slices].map(({ synced }) => synced));
  const pods = startInformer<Pod>(server, '/api/v1/pods', onPod);
  const informers = [pods, slices, services, claims, secrets, configMaps];

  const store: DataStore = {
    find: (kind, namespace, name) => (kind === 'ConfigMap' ? configMaps : secrets).objects.get(`${namespace}/${name}`),
  };

  function refresh(_change: Change, { metadata }: DataObject): void {
    for (const worker of workers.values()) if (worker.namespace === metadata.namespace) worker.refresh();
  }

  function connect(): void {
    writeServices(places.servicesFile, services.objects.values(), slices.objects.values());
  }

  function onPod(change: Change, pod: Pod): void {
    const { uid } = pod.metadata;
    if (change === 'DELETED') {
      void workers.get(uid)?.kill();
    } else if (pod.spec.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: nodeName };
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: pod.metadata.name, uid }, target };
      void persist(server, stopped.signal, 'POST', podPath(pod, '/binding'), binding);
    } else {
      workerOf(pod).observe(pod);
    }
  }

  function workerOf(pod: Pod): PodWorker {
    const { uid, namespace, name } = pod.metadata;
    const existing = workers.get(uid);
    if (existing !== undefined) return existing;
    const key = `${namespace}/${name}`;
    const worker = startPod(pod, {
      server,
      images,
      speed,
      store,
      hasClaim: (where, claim) => claims.objects.has(`${where}/${claim}`),
      places,
      addressOf: (pod) => network.addressOf(pod),
      nodeAddress: network.nodeAddress,
      onGone: () => {
        workers.delete(uid);
        // Pods of a stateful set come back under their names, by which others may know their addresses.
        if (!isNumbered(pod)) network.release(key);
      },
    });
    workers.set(uid, worker);
    known.set(key, [...(known.get(key) ?? []), worker.containers]);
    return worker;
  }

  const logOf = (key: string): string => (known.get(key) ?? []).flatMap((pod) => pod.map(({ log }) => log)).join('\n');
  return {
    logs: (namespace, pod) => logOf(`${namespace}/${pod}`),
    allLogs: () => [...known.keys()].map((key) => `--- ${key}\n${logOf(key)}`).join('\n'),
    processOf: (namespace, pod) => {
      const pid = known.get(`${namespace}/${pod}`)?.at(-1)?.[0]?.pid;
      if (pid === undefined) throw new Error(`${namespace}/${pod} does not run`);
      return pid;
    },
    [Symbol.asyncDispose]: async () => {
      stopped.abort();
      await Promise.all(informers.map((informer) => informer.stop()));
      await Promise.all([...workers.values()].map((worker) => worker.kill()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function isNumbered({ metadata }: Pod): boolean {
  return metadata.labels?.['apps.kubernetes.io/pod-index'] !== undefined;
}

async function register(server: TestApiServer, address: string): Promise<void> {
  const metadata = { name: nodeName, labels: { 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux' } };
  const node = { apiVersion: 'v1', kind: 'Node', metadata };
  const addresses = [{ type: 'InternalIP', address }];
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'processes can be started' }];
  await server.apply(`/api/v1/nodes/${nodeName}`, node, 'kubelet');
  const { status } = await server.apply(
    `/api/v1/nodes/${nodeName}/status`,
    { ...node, status: { addresses, conditions, capacity: { pods: '250' }, allocatable: { pods: '250' } } },
    'kubelet',
  );
  if (status !== 200) throw new Error(`the node was answered with ${status}`);
}
