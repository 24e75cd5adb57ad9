/** A control plane with controllers, which act on what an API server only stores. There are no nodes; see kubelet/. */

import { execFile } from 'node:child_process';
import { platform } from 'node:os';

import { startApiServer, type TestApiServer } from './apiserver.ts';
import { binariesAdvice, findApiServerBinaries } from './apiserver-binaries.ts';
import { controllerFlags } from './apiserver-flags.ts';
import { fail, whyNot } from './program.ts';
import { startServer, untilReady } from './server-process.ts';

export interface ControlPlane extends TestApiServer {
  /** Runs kubectl and resolves with its output. @throws with its error output */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** The end of the output of kube-controller-manager. */
  controllerLog(): string;
}

export interface KubectlOptions {
  /** The user. @default - one that may do everything */
  readonly kubeconfig?: string;
  /** For `-f -`; objects become JSON. */
  readonly input?: string | object;
}

export interface ControlPlaneOptions {
  /** Files that kubectl applies before the controllers start, so that the garbage collector knows their kinds at once. */
  readonly manifests?: readonly string[];
}

const kubectlTimeoutMs = 120_000;

/** etcd, kube-apiserver and kube-controller-manager. @throws when one of them can't be found or started */
export async function startControlPlane({ manifests = [] }: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const { controllerManager, kubectl: binary } = await findApiServerBinaries();
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startApiServer({ hasControllers: true }));
  const kubectl: ControlPlane['kubectl'] = (args, { kubeconfig = server.kubeconfig, input } = {}) =>
    runKubectl(
      binary,
      [`--kubeconfig=${kubeconfig}`, ...args],
      typeof input === 'object' ? JSON.stringify(input) : input,
    );
  for (const file of manifests) await kubectl(['apply', '--server-side', '-f', file]);
  const controllers = stack.use(startServer(controllerManager, controllerFlags(server.folder, server.kubeconfig)));
  await untilReady(controllers, () => server.get('/api/v1/namespaces/default/serviceaccounts/default'));
  const parts = stack.move();
  const dispose = (): Promise<void> => parts.disposeAsync();
  return { ...server, kubectl, controllerLog: controllers.output, [Symbol.asyncDispose]: dispose };
}

/** Why tests on a cluster cannot run here, or false: pods run as processes on loopback addresses that only Linux has. */
export function clusterOrSkip(): Promise<string | false> {
  return whyNot('Kubernetes cluster', binariesAdvice, async () => {
    if (platform() !== 'linux') fail('only Linux has every address of 127.0.0.0/8');
    await findApiServerBinaries();
  });
}

function runKubectl(binary: string, args: readonly string[], input: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: kubectlTimeoutMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(binary, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`kubectl ${args.slice(1).join(' ')}: ${stderr || error.message}`, { cause: error }));
    });
    child.stdin?.on('error', () => {}); // It may end before it has read everything; its exit code says why.
    child.stdin?.end(input);
  });
}
