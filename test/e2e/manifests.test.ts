/** What the manifests tell a kubelet to run, run here: arguments, environment, mounted files, probes. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';

import { env, paths } from '../../crds/contract.ts';
import { parseDocuments } from '../../crds/index.ts';
import { valueAt } from '../../crds/path.ts';
import { type Manifest, renderAll } from '../../infra/index.ts';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { type HydrogenProcess, memberDocument, startHydrogen, yaml } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';
import { freePortBase } from '../kit/ports.ts';

interface Container {
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly readinessProbe: { readonly httpGet: { readonly path: string } };
}

interface Source {
  readonly secret: {
    readonly name: string;
    readonly items: readonly { readonly key: string; readonly path: string }[];
  };
}

const skip = await natsOrSkip();

/** Runs the pod of a deployment on this machine: its files below a folder, its ports from a base. */
async function runPod(
  objects: readonly Manifest[],
  name: string,
  portFlags: readonly string[],
): Promise<HydrogenProcess & { readonly readyPath: string }> {
  const named = (kind: string): Manifest | undefined =>
    objects.find((object) => object.kind === kind && valueAt(object, 'metadata.name') === name);
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-pod-'));
  const pod = valueAt(named('Deployment'), 'spec.template.spec');
  const [container] = valueAt(pod, 'containers') as [Container];
  const config = join(folder, 'hydrogen.yaml');
  await writeFile(config, String(valueAt(named('ConfigMap'), 'data["hydrogen.yaml"]')));
  const sources = (valueAt(pod, 'volumes[1].projected.sources') ?? []) as Source[];
  for (const { path, key } of sources.flatMap(({ secret }) => secret.items)) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), `value of ${key}\n`);
  }
  const args = container.args.map((arg) => (arg === paths.config ? config : arg));
  const variables = Object.fromEntries((container.env ?? []).map(({ name: variable, value }) => [variable, value]));
  const started = startHydrogen([...args, ...portFlags, '--host', '127.0.0.1'], {
    ...variables,
    [env.secretsDir]: folder,
  });
  return {
    ...started,
    readyPath: container.readinessProbe.httpGet.path,
    async [Symbol.asyncDispose]() {
      await started[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

test('pods that run as the manifests say carry a message to its destination', { skip }, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const headers = [{ name: 'authorization', valueFrom: { secretKeyRef: { name: 'messages', key: 'token' } } }];
  const everything = { name: 'all', pattern: '.*', destination: { url: destination.url, headers } };
  const group = { apiVersion: 'hydrogen.dev/v1alpha1', kind: 'HydrogenGroup', metadata: { name: 'chat' } };
  const objects = renderAll(
    parseDocuments(
      yaml(
        { ...group, spec: { nats: { servers: [nats.url] } } },
        memberDocument('HydrogenGateway', 'chat', 'chat', { endpoints: [{ path: '/chat' }] }),
        memberDocument('HydrogenMessageProcessor', 'chat', 'chat', { routing: { rules: [everything] } }),
      ),
      'test',
    ),
  );
  const [gatewayBase, processorBase] = [await freePortBase(), await freePortBase()];
  await using _mproc = await runPod(objects, 'chat-mproc', ['--probe-port', `${processorBase + 1010}`]);
  await using gateway = await runPod(objects, 'chat-gateway', ['--port-base', `${gatewayBase}`]);
  const ready = `http://127.0.0.1:${gatewayBase + 1010}${gateway.readyPath}`;
  await eventually(
    () =>
      fetch(ready)
        .then(({ ok }) => ok)
        .catch(() => false),
    { timeoutMs: 30_000 },
  );

  await using client = await connect(`ws://127.0.0.1:${gatewayBase}/chat`);
  client.send('hello');
  const request = await eventually(() => destination.requests[0] ?? false);
  assert.equal(request.headers.authorization, 'value of token');
  assert.equal(request.headers['hydrogen-callback'], 'http://chat-management.default.svc:8081');
});
