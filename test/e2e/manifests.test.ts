/** The manifests run by a kubelet, without an operator. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { parseDocuments } from '../../crds/index.ts';
import { renderAll } from '../../infra/index.ts';
import { startDestination } from '../kit/destination.ts';
import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { root } from '../kit/hydrogen.ts';
import { startNats } from '../kit/nats.ts';
import { stageOrSkip } from './chat.ts';
import { type Platform, startPlatform } from './platform.ts';

const skip = await stageOrSkip();
const patiently = { timeoutMs: 30_000, everyMs: 100 };

let platform: Platform;
before(async () => {
  if (skip === false) platform = await startPlatform({ hasOperator: false });
});
after(() => platform?.[Symbol.asyncDispose]());

test('rendered objects deliver a message with a header from a secret, and follow the next value of the secret', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using destination = await startDestination();
  const headers = [{ name: 'authorization', valueFrom: { secretKeyRef: { name: 'messages', key: 'token' } } }];
  const documents = yaml(
    groupDocument({ nats: { servers: [nats.url] } }),
    gatewayDocument(),
    processorDocument({ routing: everythingTo(destination.url, { headers }) }),
  );
  const namespace = await platform.namespace('default');
  await namespace.apply(...renderAll(parseDocuments(documents, 'test')));
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'messages' } };
  await eventually(async () => (await namespace.get('pods')).items.length === 2, patiently);
  assert.deepEqual(await namespace.pods('mproc'), [], 'a pod starts without its secret');
  await namespace.apply({ ...secret, stringData: { token: 'first' } });
  await eventually(async () => (await namespace.addresses('chat')).length === 1, patiently);

  await using client = await namespace.connect('chat', '/chat');
  client.send('hello');
  const request = await eventually(() => destination.requests[0] ?? false);
  assert.equal(request.headers.authorization, 'first');
  assert.equal(request.headers['hydrogen-callback'], 'http://chat-management.default.svc:8081');
  await namespace.apply({ ...secret, stringData: { token: 'second' } });
  await eventually(
    () => {
      client.send('hello again');
      return destination.requests.at(-1)?.headers.authorization === 'second';
    },
    { timeoutMs: 15_000, everyMs: 250 },
  );
});

test('the demo echoes through a service on another port than its pod', { skip }, async () => {
  await platform.cluster.kubectl(['apply', '-f', join(root, 'dist/demo.yaml')]);
  const demo = await platform.namespace('hydrogen-demo');
  await eventually(async () => (await demo.addresses('echo')).length === 1, patiently);
  await using visitor = await demo.connect('echo', '/echo');
  visitor.send('hello demo');
  assert.equal(await visitor.nextText(), 'hello demo');
});
