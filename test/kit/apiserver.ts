/** A real Kubernetes API server on a real etcd, for a test: its own ports, its own data, gone afterwards. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findApiServerBinaries } from './apiserver-binaries.ts';
import { type ApiClient, createApiClient } from './apiserver-client.ts';
import { apiServerFlags, etcdFlags, featureFlags, kubeconfigOf } from './apiserver-flags.ts';
import { selfSigned } from './certificate.ts';
import { eventually } from './eventually.ts';
import { freePorts } from './ports.ts';
import { whyNot } from './program.ts';

export interface TestApiServer extends ApiClient, AsyncDisposable {
  /** Path of a kubeconfig whose user may do everything. */
  readonly kubeconfig: string;
}

const startTimeoutMs = 60_000;

/** A server that answers, with a client that may do everything. @throws when none can be found or started */
export async function startApiServer(): Promise<TestApiServer> {
  const binaries = await findApiServerBinaries();
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-apiserver-'));
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.reverse()) await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [etcdPort, peerPort, port] = await freePorts(3);
    const admin = selfSigned('admin', 'system:masters');
    const url = `https://127.0.0.1:${port}`;
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(join(folder, 'admin.crt'), admin.certificate);
    children.push(start(binaries.etcd, etcdFlags(folder, `${etcdPort}`, `${peerPort}`)));
    const flags = await apiServerFlags(folder, `${etcdPort}`, `${port}`);
    const server = start(binaries.apiServer, [...flags, ...featureFlags(binaries)]);
    children.push(server);
    const ca = await untilReady(server, () => readFile(join(folder, 'apiserver.crt'), 'utf8'));
    const client = createApiClient(url, ca, admin);
    await untilReady(server, () => client.get('/apis/apiextensions.k8s.io/v1'));
    await writeFile(kubeconfig, kubeconfigOf(url, admin, ca));
    return {
      ...client,
      kubeconfig,
      [Symbol.asyncDispose]: async () => {
        client.close();
        await stop();
      },
    };
  } catch (err) {
    await stop();
    throw err;
  }
}

/** Why tests on an API server cannot run here, or false. Use it as `test(..., { skip: await apiServerOrSkip() }, ...)`. */
export function apiServerOrSkip(): Promise<string | false> {
  const advice =
    'install Go >= 1.26, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kubectl';
  return whyNot('Kubernetes API server', advice, findApiServerBinaries);
}

interface Child {
  /** What it wrote last, once it has ended before its time. */
  ended(): string | undefined;
  stop(): Promise<void>;
}

function start(binary: string, args: readonly string[]): Child {
  const child: ChildProcess = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-8192);
  });
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    ended: () => (hasExited() ? `${binary} ended: ${output}` : undefined),
    stop: async () => {
      if (hasExited()) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function untilReady<T>(server: Child, fn: () => Promise<T>): Promise<Exclude<T, false>> {
  return eventually(
    () => {
      const end = server.ended();
      if (end !== undefined) throw new Error(end);
      return fn();
    },
    { timeoutMs: startTimeoutMs, everyMs: 50 },
  );
}
