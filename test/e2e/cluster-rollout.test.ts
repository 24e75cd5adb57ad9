/** New images: pods are replaced while clients keep sending, unless the image cannot be pulled. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { defaultImage } from '../../infra/image.ts';
import { eventually } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import { startCrowd } from './crowd.ts';
import { type Namespace, nextImage } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);

const patiently = { timeoutMs: 40_000, everyMs: 100 };

/** Polls a deployment and keeps the lowest number of available pods. @returns stops it and returns the number */
function watchAvailable(namespace: Namespace, deployment: string): () => Promise<number> {
  const path = `/apis/apps/v1/namespaces/${namespace.name}/deployments/${deployment}`;
  let least = Number.POSITIVE_INFINITY;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      least = Math.min(least, (await stage.platform.cluster.get(path)).status.availableReplicas ?? 0);
      await delay(20);
    }
  })();
  return async () => {
    isOver = true;
    await watching;
    return least;
  };
}

test('a new image replaces pod by pod; clients are sent away with 1001 and no message is lost', {
  skip,
}, async (context) => {
  const replicas = { replicas: 2 };
  const specs = { gateway: replicas, processor: replicas };
  const namespace = await stage.chat('rollout', specs);
  const before = [...(await namespace.pods('gateway')), ...(await namespace.pods('mproc'))];
  assert.equal(before.length, 4);
  const earlier = stage.echo.requests.length;
  await using crowd = startCrowd(6, async () =>
    (await namespace.addresses('chat')).map((address) => `${address}/chat`),
  );
  await eventually(() => crowd.connected === 6);
  const endWatches = ['chat-gateway', 'chat-mproc'].map((name) => watchAvailable(namespace, name));

  const template = { image: nextImage };
  const { gateway, processor } = stage.documents({
    gateway: { ...replicas, template },
    processor: { ...replicas, template },
  });
  await namespace.apply(gateway, processor);
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'RollingOut', 'True/PodsUpdating');
  }
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'RollingOut', 'False/RolledOut', patiently);
  }
  await namespace.untilReady(...chatResources);
  assert.deepEqual(await Promise.all(endWatches.map((end) => end())), [2, 2], 'fewest pods that were available');
  const pods = await eventually(async () => {
    const all = [...(await namespace.pods('gateway')), ...(await namespace.pods('mproc'))];
    return all.length === 4 && all;
  }, patiently);
  assert.ok(pods.every(({ image }) => image === nextImage));
  assert.ok(pods.every(({ uid }) => before.every((pod) => pod.uid !== uid)));
  await eventually(() => crowd.connected === 6 && crowd.codes.length >= 6, patiently);
  await crowd.stop();

  assert.deepEqual([...new Set(crowd.codes)], [1001]);
  const promised = crowd.promised();
  assert.ok(promised.length > 500, `${promised.length} messages`);
  context.diagnostic(`${promised.length} messages, ${crowd.codes.length} closes, ${crowd.refusals} refusals`);
  const lost = (): string[] => crowd.lost(stage.echo.requests.slice(earlier));
  await eventually(() => lost().length === 0).catch(() => assert.deepEqual(lost(), []));
});

test('an image that cannot be pulled shows in the conditions, and the old pods keep serving', { skip }, async () => {
  const namespace = await stage.chat('stuck');
  await using client = await namespace.connect('chat', '/chat');
  const [before] = await namespace.pods('gateway');
  await namespace.apply(stage.documents({ gateway: { template: { image: 'nowhere.test/hydrogen:none' } } }).gateway);
  await namespace.untilCondition('hgw/chat', 'RollingOut', 'True/PodsUpdating');
  const reasons = 'jsonpath={.items[*].status.containerStatuses[0].state.waiting.reason}';
  const waiting = (): Promise<string> => namespace.kubectl(['get', 'pods', '-o', reasons]);
  await eventually(async () => (await waiting()) === 'ErrImagePull', patiently);
  assert.equal(await namespace.condition('hgw/chat', 'Available'), 'True/Available');
  assert.equal(await namespace.condition('hgw/chat', 'Ready'), 'False/PodsUpdating');

  // The deployment controller gives up after two seconds instead of ten minutes.
  const deadline = JSON.stringify({ spec: { progressDeadlineSeconds: 2 } });
  await namespace.kubectl(['patch', 'deployment/chat-gateway', '--type=merge', '-p', deadline]);
  await namespace.untilCondition('hgw/chat', 'RollingOut', 'True/RolloutStuck');
  await namespace.untilCondition('hgw/chat', 'Stalled', 'True/RolloutStuck');
  assert.deepEqual(await namespace.pods('gateway'), [before]);
  client.send('still');
  assert.equal(await client.nextText(), 'echo still');

  await namespace.apply(stage.documents({ gateway: { template: { image: defaultImage } } }).gateway);
  await namespace.untilReady('hgw/chat');
  assert.deepEqual(await namespace.pods('gateway'), [before]);
  assert.equal(client.socket.readyState, client.socket.OPEN);
});
