/** One pod on this machine, from the first sight of it to its removal from the API. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { TestApiServer } from '../apiserver.ts';
import { kubeconfigOf } from '../apiserver-flags.ts';
import { type ContainerProcess, createContainer } from './container.ts';
import type { DataStore } from './data.ts';
import { commandOf } from './environment.ts';
import type { Images } from './images.ts';
import { localAddress } from './network.ts';
import { NotYet, type Pod, type PodCondition } from './objects.ts';
import { persist, podPath, statusOf } from './status.ts';
import { createVolumes } from './volumes.ts';

export interface PodWorker {
  readonly namespace: string;
  readonly containers: readonly ContainerProcess[];
  /** Takes over what the API says of it now. */
  observe(pod: Pod): void;
  /** Looks again at config maps and secrets. */
  refresh(): void;
  /** Ends it at once, and tells nobody. */
  kill(): Promise<void>;
}

export interface PodWorkerOptions {
  readonly server: TestApiServer;
  readonly images: Images;
  readonly speed: number;
  readonly store: DataStore;
  readonly hasClaim: (namespace: string, name: string) => boolean;
  /** Folders for every pod and claim, and the file with the addresses of services. */
  readonly places: { readonly pods: string; readonly claims: string; readonly servicesFile: string };
  readonly address: string;
  readonly nodeAddress: string;
  /** Told when nothing of it is left on this machine. */
  readonly onGone: () => void;
}

const retryMs = 100;
const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

export function startPod(pod: Pod, options: PodWorkerOptions): PodWorker {
  const { server, images, speed, store, places } = options;
  const { namespace, name, uid } = pod.metadata;
  const address = localAddress(options.address);
  const folder = join(places.pods, uid);
  const killed = new AbortController();
  const leaving = new AbortController();
  const startTime = now();
  let conditions: readonly PodCondition[] = pod.status?.conditions ?? [];
  let isOver = false;
  let reported = '';
  let reporting: Promise<void> | undefined;
  let account: Record<string, string> = {};

  const volumes = createVolumes({
    pod,
    folder: join(folder, 'volumes'),
    claims: places.claims,
    address,
    store,
    hasClaim: (claim) => options.hasClaim(namespace, claim),
    token: (expirationSeconds) =>
      server.tokenOf(namespace, pod.spec.serviceAccountName ?? 'default', {
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      }),
  });
  const surroundings = { address, namespace, servicesFile: places.servicesFile, localPath: volumes.localPath };
  const containers = pod.spec.containers.map((container) =>
    createContainer({
      container,
      target: { address, ports: container.ports },
      speed,
      imageOf: () => images.get(container.image),
      commandOf: (image) =>
        commandOf({ pod, container, image, store, surroundings, localise: volumes.localise, env: account }),
      localise: volumes.localise,
      cwd: folder,
      onChange: report,
    }),
  );

  /** Tells the API server how it stands; of changes in quick succession it hears the last. */
  function report(): void {
    reporting ??= (async () => {
      for (;;) {
        const facts = { address: options.address, nodeAddress: options.nodeAddress, startTime, containers, isOver };
        const status = statusOf({ ...facts, before: conditions, now: now() });
        if (JSON.stringify(status) === reported || killed.signal.aborted) break;
        reported = JSON.stringify(status);
        conditions = status.conditions;
        await persist(
          server,
          killed.signal,
          'PATCH',
          podPath(pod, '/status'),
          { metadata: { uid }, status },
          { 'content-type': 'application/strategic-merge-patch+json' },
        );
      }
      reporting = undefined;
    })();
  }

  async function run(): Promise<void> {
    await mkdir(folder, { recursive: true });
    report();
    while (!leaving.signal.aborted) {
      try {
        await volumes.sync();
        account = await accountOf();
        for (const container of containers) container.start();
        return;
      } catch (error) {
        if (!isTransient(error)) throw error;
        await delay(retryMs);
      }
    }
  }

  async function refresh(): Promise<void> {
    if (leaving.signal.aborted) return;
    // Of what has vanished the files stay.
    await volumes.sync().catch((error: unknown) => {
      if (!isTransient(error)) throw error;
    });
  }

  /** What a client library would find below fixed paths of a container, as a kubeconfig. */
  async function accountOf(): Promise<Record<string, string>> {
    const place = volumes.localPath(accountFolder);
    if (place === accountFolder) return {};
    const [token, ca] = await Promise.all(['token', 'ca.crt'].map((file) => readFile(join(place, file), 'utf8')));
    const file = join(folder, 'kubeconfig');
    await writeFile(file, kubeconfigOf(server.url, { token: token ?? '' }, ca ?? ''));
    return { KUBECONFIG: file };
  }

  const running = run();
  let refreshed = running;
  let end: Promise<void> | undefined;

  async function terminate(graceMs: number): Promise<void> {
    leaving.abort();
    await refreshed;
    await Promise.all(containers.map((container) => container.stop(graceMs)));
    isOver = true;
    await reporting;
    report();
    await reporting;
    await persist(server, killed.signal, 'DELETE', podPath(pod), { gracePeriodSeconds: 0, preconditions: { uid } });
    await cleanUp();
  }

  async function cleanUp(): Promise<void> {
    await rm(folder, { recursive: true, force: true });
    options.onGone();
  }

  return {
    namespace,
    containers,
    observe: ({ metadata }) => {
      if (metadata.deletionTimestamp === undefined || end !== undefined) return;
      end = terminate((metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
    },
    refresh: () => {
      refreshed = refreshed.then(refresh);
    },
    kill: async () => {
      killed.abort();
      leaving.abort();
      await refreshed;
      await Promise.all(containers.map((container) => container.stop(0)));
      await (end ?? cleanUp());
    },
  };
}

/** Whether it is only a matter of time: something is missing, or the API server is away. */
function isTransient(error: unknown): boolean {
  if (error instanceof NotYet) return true;
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
