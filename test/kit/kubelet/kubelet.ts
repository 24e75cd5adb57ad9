/**
 * A kubelet and a scheduler for tests: every pod of the cluster is bound to one node, and its containers run as processes
 * of this machine, on a loopback address of the pod's own. Nothing is isolated: there are no mounts, users, limits or
 * network policies. Linux only.
 */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestApiServer } from '../apiserver.ts';
import { type Informer, type InformerChange, startInformer } from '../informer.ts';
import type { DataStore } from './data.ts';
import type { Images } from './images.ts';
import { createPodNetwork, writeServices } from './network.ts';
import type { ApiObject, DataObject, EndpointSlice, Pod, ServiceObject } from './objects.ts';
import { PodWorker, type PodWorkerOptions } from './pod.ts';
import { persist, podPath } from './status.ts';

export interface KubeletOptions {
  /** What runs for which image; read whenever a container starts. */
  readonly images: Images;
  /** Divides the periods of probes. @default 10 */
  readonly speed?: number;
}

export interface TestKubelet extends AsyncDisposable {
  /** Output of the containers of every pod of this name, including pods that are gone. */
  logs(namespace: string, pod: string): string;
  /** Output of all pods, for the message of a test that failed. */
  allLogs(): string;
  /** Process id of the first container. @throws while it does not run */
  processOf(namespace: string, pod: string): number;
}

const nodeName = 'test-node';

export async function startKubelet(server: TestApiServer, options: KubeletOptions): Promise<TestKubelet> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-kubelet-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const kubelet = stack.use(new Kubelet(server, options, folder));
  await kubelet.start();
  const parts = stack.move();
  return {
    logs: (namespace, pod) => kubelet.logOf(`${namespace}/${pod}`),
    allLogs: () => kubelet.allLogs(),
    processOf: (namespace, pod) => kubelet.processOf(`${namespace}/${pod}`),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

class Kubelet implements AsyncDisposable {
  readonly #server: TestApiServer;
  readonly #images: Images;
  readonly #speed: number;
  readonly #places: PodWorkerOptions['places'];
  readonly #network = createPodNetwork();
  readonly #stopped = new AbortController();
  readonly #informers = new AsyncDisposableStack();
  readonly #workers = new Map<string, PodWorker>();
  /** Containers of every pod that there ever was, by the pod's name: pods of a stateful set share names one after another. */
  readonly #known = new Map<string, PodWorker['containers'][]>();

  constructor(server: TestApiServer, { images, speed = 10 }: KubeletOptions, folder: string) {
    this.#server = server;
    this.#images = images;
    this.#speed = speed;
    this.#places = {
      pods: join(folder, 'pods'),
      claims: join(folder, 'claims'),
      servicesFile: join(folder, 'services.json'),
    };
  }

  async start(): Promise<void> {
    await mkdir(this.#places.pods);
    writeServices(this.#places.servicesFile, [], []);
    const refresh = (_change: InformerChange, { metadata }: DataObject): void => this.#refresh(metadata.namespace);
    const connect = (): void =>
      writeServices(this.#places.servicesFile, services.objects.values(), slices.objects.values());
    const configMaps = this.#inform<DataObject>('/api/v1/configmaps', refresh);
    const secrets = this.#inform<DataObject>('/api/v1/secrets', refresh);
    const claims = this.#inform<ApiObject>('/api/v1/persistentvolumeclaims');
    const services = this.#inform<ServiceObject>('/api/v1/services', connect);
    const slices = this.#inform<EndpointSlice>('/apis/discovery.k8s.io/v1/endpointslices', connect);
    await register(this.#server, this.#network.nodeAddress);
    await Promise.all([configMaps, secrets, claims, services, slices].map(({ synced }) => synced));
    const surroundings = {
      store: {
        find: (kind, namespace, name) =>
          (kind === 'ConfigMap' ? configMaps : secrets).objects.get(`${namespace}/${name}`),
      } satisfies DataStore,
      hasClaim: (namespace: string, name: string) => claims.objects.has(`${namespace}/${name}`),
    };
    this.#inform<Pod>('/api/v1/pods', (change, pod) => this.#onPod(change, pod, surroundings));
  }

  logOf(key: string): string {
    return (this.#known.get(key) ?? []).flatMap((pod) => pod.map(({ log }) => log)).join('\n');
  }

  allLogs(): string {
    return [...this.#known.keys()].map((key) => `--- ${key}\n${this.logOf(key)}`).join('\n');
  }

  processOf(key: string): number {
    const pid = this.#known.get(key)?.at(-1)?.[0]?.pid;
    if (pid === undefined) throw new Error(`${key} does not run`);
    return pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await this.#informers.disposeAsync();
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
  }

  #inform<T extends ApiObject>(path: string, onChange?: (change: InformerChange, object: T) => void): Informer<T> {
    return this.#informers.use(startInformer<T>(this.#server, path, onChange));
  }

  #refresh(namespace: string): void {
    for (const worker of this.#workers.values()) if (worker.namespace === namespace) worker.refresh();
  }

  #onPod(change: InformerChange, pod: Pod, surroundings: Pick<PodWorkerOptions, 'store' | 'hasClaim'>): void {
    const { uid, name } = pod.metadata;
    if (change === 'DELETED') {
      void this.#workers.get(uid)?.kill();
    } else if (pod.spec.nodeName === undefined) {
      const target = { apiVersion: 'v1', kind: 'Node', name: nodeName };
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name, uid }, target };
      void persist(this.#server, this.#stopped.signal, 'POST', podPath(pod, '/binding'), binding);
    } else {
      const worker = this.#workers.get(uid) ?? this.#start(pod, surroundings);
      worker.observe(pod);
    }
  }

  #start(pod: Pod, surroundings: Pick<PodWorkerOptions, 'store' | 'hasClaim'>): PodWorker {
    const { uid, namespace, name } = pod.metadata;
    const key = `${namespace}/${name}`;
    const worker = new PodWorker(pod, {
      ...surroundings,
      server: this.#server,
      images: this.#images,
      speed: this.#speed,
      places: this.#places,
      addressOf: (other) => this.#network.addressOf(other),
      nodeAddress: this.#network.nodeAddress,
      onGone: () => {
        this.#workers.delete(uid);
        // Pods of a stateful set come back under their names, by which others may know their addresses.
        if (!isNumbered(pod)) this.#network.release(key);
      },
    });
    this.#workers.set(uid, worker);
    this.#known.set(key, [...(this.#known.get(key) ?? []), worker.containers]);
    return worker;
  }
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
