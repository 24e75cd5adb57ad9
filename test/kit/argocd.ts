/**
 * Argo CD on a test cluster: its application controller, its repo server and redis as processes of this machine, with a
 * local Git repository. There is no API server of Argo CD and nothing in its user interface.
 */

import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Any } from './any.ts';
import { type ArgoCdBinaries, argoCdVersion, findArgoCd } from './argocd-binaries.ts';
import type { ControlPlane } from './control-plane.ts';
import { type EventuallyOptions, eventually } from './eventually.ts';
import type { GitRepository } from './git-repository.ts';
import { demandGit } from './git-repository.ts';
import { root } from './hydrogen.ts';
import { canConnect, freePorts } from './ports.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';

export interface ArgoCd extends AsyncDisposable {
  /** Applies an Application of `examples/gitops/argocd`, with the repository of the test in the place of its own. */
  add(file: string): Promise<Application>;
  /** The end of the output of the controller and of the repo server. */
  log(): string;
}

/** What Argo CD says of an app. */
export interface Application {
  readonly name: string;
  get(): Promise<Any>;
  /** `<sync> <health>`, such as `Synced Healthy`. */
  state(): Promise<string>;
  /** Resolves when that is its state at `revision`. @throws with what it is instead */
  until(state: string, revision?: string, options?: EventuallyOptions): Promise<void>;
  /** `<health>: <message>` of one of its objects, such as `HydrogenGateway/chat`. */
  health(object: string): Promise<string>;
  /** The phase of the last sync and its message. */
  operation(): Promise<string>;
  /** Asks for its deletion, and resolves when it is gone with all that it deletes. */
  remove(): Promise<void>;
}

const namespace = 'argocd';
/** How often Argo CD looks at Git and at the cluster; three minutes in an installation. */
const resyncSeconds = 3;
const patiently = { timeoutMs: 300_000, everyMs: 250 };

/** Why tests with Argo CD are skipped here, under CI too, since its build takes longer than all other tests; or false. */
export async function argoCdOrSkip(): Promise<string | false> {
  try {
    await demandGit();
    await findArgoCd();
    return false;
  } catch (error) {
    const advice = 'npm run test:argocd builds and runs it';
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`\nSKIPPING EVERY TEST THAT NEEDS ARGO CD: ${reason}; ${advice}\n\n`);
    return `no Argo CD ${argoCdVersion}; ${advice}`;
  }
}

/** @throws with the end of its output when one of its parts does not start */
export async function startArgoCd(cluster: ControlPlane, repository: GitRepository): Promise<ArgoCd> {
  const binaries = await findArgoCd();
  await using stack = new AsyncDisposableStack();
  await install(cluster, binaries);
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-argocd-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const servers = await startServers(stack, cluster, binaries, folder);
  const parts = stack.move();
  return {
    add: (file) => addApplication(cluster, repository, file),
    log: () => servers.map((server) => server.output()).join('\n'),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** What the manifests of an installation bring, and then our health checks as the documents say. */
async function install({ kubectl }: ControlPlane, { definitions }: ArgoCdBinaries): Promise<void> {
  for (const file of definitions) await kubectl(['apply', '--server-side', '-f', file]);
  await kubectl(['wait', '--for=condition=Established', 'crd/applications.argoproj.io', 'crd/appprojects.argoproj.io']);
  const labels = { 'app.kubernetes.io/part-of': 'argocd' };
  const anything = [{ group: '*', kind: '*' }];
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'argocd-cm', namespace, labels } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'argocd-secret', namespace, labels },
      stringData: { 'server.secretkey': 'test' },
    },
    {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'AppProject',
      metadata: { name: 'default', namespace },
      spec: {
        sourceRepos: ['*'],
        destinations: [{ namespace: '*', server: '*' }],
        clusterResourceWhitelist: anything,
      },
    },
  ];
  await kubectl(['apply', '-f', '-'], { input: { apiVersion: 'v1', kind: 'List', items } });
  const health = join(root, 'examples/gitops/argocd/health.yaml');
  await kubectl(['apply', '--server-side', '--field-manager=hydrogen-health', '-f', health]);
}

async function startServers(
  stack: AsyncDisposableStack,
  { kubeconfig }: ControlPlane,
  binaries: ArgoCdBinaries,
  folder: string,
): Promise<ServerProcess[]> {
  const [redisPort = 0, repoPort = 0, repoMetricsPort = 0, metricsPort = 0] = await freePorts(4);
  const { path, env } = binaries.redis;
  const inMemory = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1', '--port', `${redisPort}`];
  const redis = stack.use(startServer(path, [...inMemory, '--dir', folder], env));
  await untilReady(redis, () => canConnect(redisPort));

  const common = ['--redis', `127.0.0.1:${redisPort}`, '--logformat', 'text'];
  const environment = await environmentIn(folder, binaries, kubeconfig);
  const address = ['--address', '127.0.0.1', '--port', `${repoPort}`, '--metrics-port', `${repoMetricsPort}`];
  const fresh = ['--revision-cache-expiration', '1s'];
  const repoServer = stack.use(startServer(binaries.repoServer, [...common, ...address, ...fresh], environment));
  await untilReady(repoServer, () => canConnect(repoPort));

  const repo = ['--repo-server', `127.0.0.1:${repoPort}`];
  const resync = ['--app-resync', `${resyncSeconds}`, '--app-resync-jitter', '0', '--persist-resource-health'];
  const place = ['--namespace', namespace, '--metrics-port', `${metricsPort}`];
  const args = [...common, ...repo, ...resync, ...place];
  const controller = stack.use(startServer(binaries.controller, args, environment));
  await untilReady(controller, () => canConnect(metricsPort));
  return [controller, repoServer];
}

/** With these, nothing is written outside of `folder`, and `https://kubernetes.default.svc` is the test cluster. */
async function environmentIn(folder: string, binaries: ArgoCdBinaries, kubeconfig: string): Promise<NodeJS.ProcessEnv> {
  const data = ['tls', 'ssh', 'gpg', 'tmp'].map((name) => join(folder, name));
  for (const one of data) await mkdir(one);
  const [tls, ssh, gpg, temporary] = data;
  return {
    ...process.env,
    PATH: `${binaries.folder}:${process.env.PATH ?? ''}`,
    HOME: folder,
    TMPDIR: temporary,
    KUBECONFIG: kubeconfig,
    ARGOCD_FAKE_IN_CLUSTER: 'true',
    ARGOCD_TLS_DATA_PATH: tls,
    ARGOCD_SSH_DATA_PATH: ssh,
    ARGOCD_GPG_DATA_PATH: gpg,
    ARGOCD_GPG_ENABLED: 'false',
    ARGOCD_ASK_PASS_SOCK: join(folder, 'ask-pass.sock'),
  };
}

async function addApplication(cluster: ControlPlane, { url }: GitRepository, file: string): Promise<Application> {
  const manifest = parse(await readFile(join(root, 'examples/gitops/argocd', file), 'utf8')) as Any;
  manifest.spec.source.repoURL = url;
  await cluster.kubectl(['apply', '-f', '-'], { input: manifest });
  return applicationOf(cluster, manifest.metadata.name);
}

function applicationOf({ kubectl }: ControlPlane, name: string): Application {
  const resource = `application/${name}`;
  const get = async (): Promise<Any> => JSON.parse(await kubectl(['-n', namespace, 'get', resource, '-o', 'json']));
  const stateOf = ({ status }: Any): string => `${status?.sync?.status} ${status?.health?.status}`;
  return {
    name,
    get,
    state: async () => stateOf(await get()),
    until: async (state, revision, options = patiently) => {
      let seen: Any = {};
      const isThere = async (): Promise<boolean> => {
        seen = await get();
        return stateOf(seen) === state && (revision === undefined || seen.status.sync.revision === revision);
      };
      await eventually(isThere, options).catch((cause) => {
        throw new Error(`${name} is not ${state} but ${JSON.stringify(summaryOf(seen), undefined, 1)}`, { cause });
      });
    },
    health: async (object) => {
      const { resources = [] } = (await get()).status ?? {};
      const found = resources.find((one: Any) => `${one.kind}/${one.name}` === object)?.health;
      return `${found?.status}: ${found?.message}`;
    },
    operation: async () => {
      const { phase, message } = (await get()).status?.operationState ?? {};
      return `${phase}: ${message}`;
    },
    remove: async () => {
      await kubectl(['-n', namespace, 'delete', resource, '--timeout=100s']);
    },
  };
}

function summaryOf({ status }: Any): object {
  const { sync, health, operationState, conditions, resources } = status ?? {};
  const { phase, message, syncResult } = operationState ?? {};
  const unsettled = (resources ?? []).filter((one: Any) => one.status !== 'Synced' || one.health?.status !== 'Healthy');
  return { sync: sync?.status, health, phase, message, conditions, unsettled, results: syncResult?.resources };
}
