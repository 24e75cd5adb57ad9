/** One pod on this machine, from the first sight of it to its removal from the API. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { TestApiServer } from '../apiserver.ts';
import { kubeconfigOf } from '../apiserver-flags.ts';
import { ContainerProcess } from './container.ts';
import type { DataStore } from './data.ts';
import { commandOf } from './environment.ts';
import type { Image, Images, Surroundings } from './images.ts';
import { localAddress } from './network.ts';
import { type Container, NotYet, type Pod } from './objects.ts';
import { persist, podPath, StatusReporter } from './status.ts';
import { createVolumes, type Volumes } from './volumes.ts';

export interface PodWorkerOptions {
  readonly server: TestApiServer;
  readonly images: Images;
  readonly speed: number;
  readonly store: DataStore;
  readonly hasClaim: (namespace: string, name: string) => boolean;
  /** Folders for every pod and claim, and the file with the addresses of services. */
  readonly places: { readonly pods: string; readonly claims: string; readonly servicesFile: string };
  /** The address of a pod, `<namespace>/<name>`, as the API knows it. */
  readonly addressOf: (pod: string) => string;
  readonly nodeAddress: string;
  /** Called when nothing of it is left on this machine. */
  readonly onGone: () => void;
}

const retryMs = 100;
const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** One pod on this machine; it starts at once. */
export class PodWorker {
  readonly containers: readonly ContainerProcess[];
  readonly #pod: Pod;
  readonly #options: PodWorkerOptions;
  readonly #folder: string;
  readonly #volumes: Volumes;
  readonly #reporter: StatusReporter;
  readonly #killed = new AbortController();
  readonly #leaving = new AbortController();
  #account: Record<string, string> = {};
  /** Start and refreshes, one after another. */
  #refreshed: Promise<void>;
  #end: Promise<void> | undefined;

  constructor(pod: Pod, options: PodWorkerOptions) {
    const { server, store, places, nodeAddress } = options;
    const { namespace, name, uid } = pod.metadata;
    const apiAddress = options.addressOf(`${namespace}/${name}`);
    const address = localAddress(apiAddress);
    this.#pod = pod;
    this.#options = options;
    this.#folder = join(places.pods, uid);
    this.#volumes = createVolumes({
      pod,
      folder: join(this.#folder, 'volumes'),
      claims: places.claims,
      address,
      store,
      adapt: (text) => this.#adapters().reduce((adapted, adapt) => adapt(adapted, surroundings), text),
      hasClaim: (claim) => options.hasClaim(namespace, claim),
      token: (expirationSeconds) =>
        server.tokenOf(namespace, pod.spec.serviceAccountName ?? 'default', {
          expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        }),
    });
    const surroundings: Surroundings = {
      address,
      namespace,
      servicesFile: places.servicesFile,
      localPath: this.#volumes.localPath,
      addressOf: (other) => localAddress(options.addressOf(`${namespace}/${other}`)),
    };
    this.containers = pod.spec.containers.map((container) => this.#create(container, surroundings));
    const { signal } = this.#killed;
    this.#reporter = new StatusReporter({ pod, server, signal, address: apiAddress, nodeAddress, of: this.containers });
    this.#refreshed = this.#run();
  }

  get namespace(): string {
    return this.#pod.metadata.namespace;
  }

  /** Takes over what the API says about the pod now. */
  observe({ metadata, spec }: Pod): void {
    if (metadata.deletionTimestamp === undefined || this.#end !== undefined) return;
    const graceSeconds = metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30;
    this.#end = this.#terminate(graceSeconds * 1000);
  }

  /** Reads config maps and secrets again. */
  refresh(): void {
    this.#refreshed = this.#refreshed.then(() => this.#refresh());
  }

  /** Ends it at once without a word to the API. */
  async kill(): Promise<void> {
    this.#killed.abort();
    this.#leaving.abort();
    await this.#refreshed;
    await Promise.all(this.containers.map((container) => container.stop(0)));
    await (this.#end ?? this.#cleanUp());
  }

  #create(container: Container, surroundings: Surroundings): ContainerProcess {
    const { images, store, speed } = this.#options;
    const { localise } = this.#volumes;
    return new ContainerProcess({
      container,
      target: { address: surroundings.address, ports: container.ports },
      speed,
      imageOf: () => images.get(container.image),
      commandOf: (image) =>
        commandOf({ pod: this.#pod, container, image, store, surroundings, localise, env: this.#account }),
      localise,
      cwd: this.#folder,
      onChange: () => this.#reporter.report(),
    });
  }

  /** How the programs of the pod need the text of their config maps changed. */
  #adapters(): NonNullable<Image['adapt']>[] {
    return this.#pod.spec.containers.flatMap(({ image }) => this.#options.images.get(image)?.adapt ?? []);
  }

  async #run(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    this.#reporter.report();
    while (!this.#leaving.signal.aborted) {
      try {
        await this.#volumes.sync();
        this.#account = await this.#accountOf();
        for (const container of this.containers) container.start();
        return;
      } catch (error) {
        if (!isTransient(error)) throw error;
        await delay(retryMs);
      }
    }
  }

  async #refresh(): Promise<void> {
    if (this.#leaving.signal.aborted) return;
    // Files of an object that has vanished stay.
    await this.#volumes.sync().catch((error: unknown) => {
      if (!isTransient(error)) throw error;
    });
  }

  /** What a client library would find below fixed paths of a container, as a kubeconfig. */
  async #accountOf(): Promise<Record<string, string>> {
    const place = this.#volumes.localPath(accountFolder);
    if (place === accountFolder) return {};
    const [token, ca] = await Promise.all(['token', 'ca.crt'].map((file) => readFile(join(place, file), 'utf8')));
    const file = join(this.#folder, 'kubeconfig');
    await writeFile(file, kubeconfigOf(this.#options.server.url, { token: token ?? '' }, ca ?? ''));
    return { KUBECONFIG: file };
  }

  async #terminate(graceMs: number): Promise<void> {
    const { uid } = this.#pod.metadata;
    this.#leaving.abort();
    await this.#refreshed;
    await Promise.all(this.containers.map((container) => container.stop(graceMs)));
    await this.#reporter.reportEnd();
    const body = { gracePeriodSeconds: 0, preconditions: { uid } };
    await persist(this.#options.server, this.#killed.signal, 'DELETE', podPath(this.#pod), body);
    await this.#cleanUp();
  }

  async #cleanUp(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    this.#options.onGone();
  }
}

/** True when trying again can help: something is missing, or the API server is away. */
function isTransient(error: unknown): boolean {
  if (error instanceof NotYet) return true;
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
}
