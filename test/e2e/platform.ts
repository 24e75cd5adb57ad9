/** A cluster with dist/install.yaml applied and the operator running, and namespaces for tests. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manifests } from '../../cli/manifests.ts';
import { defaultImage, natsImage as natsImageName } from '../../infra/image.ts';
import type { Any } from '../kit/any.ts';
import { type Client, connect } from '../kit/client.ts';
import { type ControlPlane, startControlPlane } from '../kit/control-plane.ts';
import { type EventuallyOptions, eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { earlierHydrogenImage, hydrogenImage, type Image, natsImage } from '../kit/kubelet/images.ts';
import { startKubelet, type TestKubelet } from '../kit/kubelet/kubelet.ts';
import { localAddress } from '../kit/kubelet/network.ts';
import { findNatsServer } from '../kit/nats-binary.ts';

export type { Any } from '../kit/any.ts';

/** A second image of hydrogen, for rollouts; it runs the same program. */
export const nextImage = `${defaultImage}-next`;

/** An earlier release of it: its gateways know no authorizer. */
export const earlierImage = `${defaultImage}-earlier`;

export interface Platform extends AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly kubelet: TestKubelet;
  /** A new namespace that admits only pods of the Pod Security profile `restricted`. */
  namespace(name: string): Promise<Namespace>;
}

export interface TestPod {
  readonly name: string;
  readonly uid: string;
  readonly pid: number;
  readonly image: string;
}

export interface Namespace {
  readonly name: string;
  /** `kubectl -n <name> ...` */
  kubectl(args: readonly string[], input?: string | object): Promise<string>;
  /** `kubectl apply` of documents without a namespace. */
  apply(...documents: readonly object[]): Promise<void>;
  /** `kubectl get -o json` of one, or of a list. */
  get(...resources: readonly string[]): Promise<Any>;
  /** Resolves when all of them are Ready, by `kubectl wait`. */
  untilReady(...resources: readonly string[]): Promise<void>;
  /** Status and reason of a condition, such as `True/RolledOut`; `none` while it is absent. */
  condition(resource: string, type: string): Promise<string>;
  /** Resolves when the condition is as expected. */
  untilCondition(resource: string, type: string, expected: string, options?: EventuallyOptions): Promise<void>;
  /** The pods of a component that run and are not being deleted. */
  pods(component: 'gateway' | 'mproc' | 'nats'): Promise<TestPod[]>;
  /** Addresses of the ready endpoints of a gateway's service. */
  addresses(gateway: string): Promise<string[]>;
  /** A client connected to one of these addresses. */
  connect(gateway: string, path: string): Promise<Client>;
}

export interface PlatformOptions {
  /** Apply dist/install.yaml. @default true */
  readonly hasOperator?: boolean;
  /** Divides the periods of probes. @default 10 */
  readonly speed?: number;
  /** Apply what `hydrogen manifests` prints with these images instead, which are copies of ours. */
  readonly mirror?: { readonly image: string; readonly natsImage: string };
}

/** @throws with the output of the pods when the operator does not become ready */
export async function startPlatform({
  hasOperator = true,
  speed = 10,
  mirror,
}: PlatformOptions = {}): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const files = stack.use(await writeManifests(mirror));
  const cluster = stack.use(await startControlPlane({ manifests: hasOperator ? [files.path] : [] }));
  const images = new Map<string, Image>([
    [defaultImage, hydrogenImage],
    [nextImage, hydrogenImage],
    [earlierImage, earlierHydrogenImage],
    [natsImageName, natsImage(await findNatsServer())],
  ]);
  if (mirror !== undefined) {
    images.set(mirror.image, hydrogenImage);
    images.set(mirror.natsImage, natsImage(await findNatsServer()));
  }
  const kubelet = stack.use(await startKubelet(cluster, { images, speed }));
  if (hasOperator) {
    const rollout = ['rollout', 'status', 'deployment/hydrogen-operator', '--timeout=60s'];
    await cluster.kubectl(['-n', 'hydrogen-system', ...rollout]).catch((cause) => {
      throw new Error(`the operator does not get ready:\n${kubelet.allLogs()}`, { cause });
    });
  }
  const parts = stack.move();
  return {
    cluster,
    kubelet,
    namespace: async (name) => {
      const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
      const input = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
      await cluster.kubectl(['apply', '-f', '-'], { input });
      return namespaceOf(cluster, kubelet, name);
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** The file to install from: the released one, or the output of `hydrogen manifests`. */
async function writeManifests(mirror: PlatformOptions['mirror']): Promise<AsyncDisposable & { readonly path: string }> {
  if (mirror === undefined) {
    return { path: join(root, 'dist/install.yaml'), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-manifests-'));
  const path = join(folder, 'install.yaml');
  await writeFile(path, manifests(mirror));
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

function namespaceOf(cluster: ControlPlane, kubelet: TestKubelet, name: string): Namespace {
  const kubectl: Namespace['kubectl'] = (args, input) =>
    cluster.kubectl(['-n', name, ...args], input === undefined ? {} : { input });
  const get = async (...resources: readonly string[]): Promise<Any> =>
    JSON.parse(await kubectl(['get', ...resources, '-o', 'json']));

  async function condition(resource: string, type: string): Promise<string> {
    const conditions: Any[] = (await get(resource)).status?.conditions ?? [];
    const found = conditions.find((one) => one.type === type);
    return found === undefined ? 'none' : `${found.status}/${found.reason}`;
  }

  async function addresses(gateway: string): Promise<string[]> {
    const selector = `kubernetes.io/service-name=${gateway}-gateway`;
    const slices = JSON.parse(await kubectl(['get', 'endpointslices', '-l', selector, '-o', 'json'])).items as Any[];
    return slices.flatMap(({ endpoints, ports }) =>
      (endpoints ?? [])
        .filter((endpoint: Any) => endpoint.conditions.ready)
        .map((endpoint: Any) => `ws://${localAddress(endpoint.addresses[0])}:${ports[0].port}`),
    );
  }

  return {
    name,
    kubectl,
    apply: async (...documents) => {
      await kubectl(['apply', '-f', '-'], { apiVersion: 'v1', kind: 'List', items: documents });
    },
    get,
    untilReady: async (...resources) => {
      await kubectl(['wait', '--for=condition=Ready', ...resources, '--timeout=40s']);
    },
    condition,
    untilCondition: async (resource, type, expected, options = { timeoutMs: 20_000, everyMs: 100 }) => {
      let seen = '';
      await eventually(async () => {
        seen = await condition(resource, type);
        return seen === expected;
      }, options).catch((cause) => {
        throw new Error(`${type} of ${resource} is ${seen} and not ${expected}`, { cause });
      });
    },
    pods: async (component) => {
      const selector = `app.kubernetes.io/component=${component}`;
      const { items } = JSON.parse(await kubectl(['get', 'pods', '-l', selector, '-o', 'json']));
      return (items as Any[])
        .filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === 'Running')
        .map(({ metadata, spec }) => ({
          name: metadata.name,
          uid: metadata.uid,
          pid: kubelet.processOf(name, metadata.name),
          image: spec.containers[0].image,
        }));
    },
    addresses,
    connect: async (gateway, path) => {
      const all = await addresses(gateway);
      return connect(`${all[Math.floor(Math.random() * all.length)]}${path}`);
    },
  };
}
