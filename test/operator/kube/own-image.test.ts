/** The operator reads the image of its own pod. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { createKube } from '../../../operator/kube/client.ts';
import { type OwnImageOptions, ownImage } from '../../../operator/kube/own-image.ts';
import { type FakeApi, startFakeApi } from '../kit/api.ts';

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'operator-1', namespace: 'shop' },
  spec: {
    containers: [
      { name: 'proxy', image: 'sidecar:9' },
      { name: 'operator', image: 'registry.test/hydrogen:1' },
    ],
  },
};

async function read(api: FakeApi, more: Partial<OwnImageOptions> = {}): Promise<string | undefined> {
  const kube = createKube({ kubeconfig: api.kubeconfig });
  const { signal } = new AbortController();
  const place = { namespace: 'shop', pod: 'operator-1', container: 'operator' };
  try {
    return await ownImage({ kube, ...place, onFailure: () => undefined, signal, retryMs: 5, ...more });
  } finally {
    kube.close();
  }
}

test('reads the image of its own container, whatever was added to the pod', async () => {
  await using api = await startFakeApi();
  api.put('pods', pod);
  assert.equal(await read(api), 'registry.test/hydrogen:1');
  assert.equal(await read(api, { container: 'other' }), undefined);
  assert.equal(await read(api, { pod: 'other' }), undefined);
});

test('asks again while the server fails or forbids it, rather than to take another image', async () => {
  await using api = await startFakeApi();
  api.put('pods', pod);
  const message = 'pods "operator-1" is forbidden: User "o" cannot get resource "pods"';
  const faults = [{ status: 403, message }, { status: 500 }, { status: 403, message }];
  api.fault = () => faults.shift();
  const failures: unknown[] = [];
  assert.equal(await read(api, { onFailure: (error) => void failures.push(error) }), 'registry.test/hydrogen:1');
  assert.equal(failures.length, 3);
});

test('ends with its process', async () => {
  await using api = await startFakeApi();
  const stopping = new AbortController();
  api.fault = () => {
    stopping.abort();
    return { status: 500 };
  };
  assert.equal(await read(api, { signal: stopping.signal, retryMs: 60_000 }), undefined);
});
