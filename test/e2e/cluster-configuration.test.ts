/** Whether pods run what was asked for, by their own account: Ready waits for them, and says what they refuse. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { describe } from '../../cli/describe.ts';
import { eventually } from '../kit/eventually.ts';
import { chatResources, stageOrSkip, useStage } from './chat.ts';
import { type Any, earlierImage, type Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 40_000, everyMs: 100 };

async function messageOf(namespace: Namespace, type: string): Promise<string> {
  const { status } = await namespace.get('hgw/chat');
  return status.conditions.find((one: Any) => one.type === type)?.message ?? '';
}

test('a pod that runs an earlier configuration keeps its gateway from being Ready', { skip }, async () => {
  const namespace = await stage.chat('configuring', { gateway: { replicas: 2 } });
  await namespace.untilCondition('hgw/chat', 'Configured', 'True/Configured', patiently);
  const [pod] = await namespace.pods('gateway');
  assert.ok(pod);
  process.kill(pod.pid, 'SIGSTOP');
  try {
    const limits = { messagesPerSecond: 77 };
    await namespace.apply(stage.documents({ gateway: { replicas: 2, limits } }).gateway);
    await namespace.untilCondition('hgw/chat', 'Configured', 'False/PodsConfiguring');
    await eventually(async () => /^1 of 2 pods still run an/.test(await messageOf(namespace, 'Configured')));
    assert.match(await namespace.condition('hgw/chat', 'Ready'), /^False/);
  } finally {
    process.kill(pod.pid, 'SIGCONT');
  }
  await namespace.untilCondition('hgw/chat', 'Configured', 'True/Configured', patiently);
  await namespace.untilReady(...chatResources);
});

test('what a pod refuses shows in its own words, until it is taken back', { skip }, async () => {
  const template = { image: earlierImage };
  const namespace = await stage.chat('refusing', { gateway: { template } });
  const authorizer = { http: { url: stage.echo.url } };
  const startedMs = performance.now();
  await namespace.apply(stage.documents({ gateway: { template, authorizer } }).gateway);
  await namespace.untilCondition('hgw/chat', 'Stalled', 'True/ConfigurationRefused');
  assert.ok(performance.now() - startedMs < 10_000);
  const said = await messageOf(namespace, 'Ready');
  assert.match(said, /^1 of 1 pods refuse .* correct the specification, .*: pod chat-gateway-\S+ says: .*authorizer/);
  const { kubeconfig } = stage.platform.cluster;
  const tree = await describe('group/chat', { namespace: 'refusing', kubeconfig });
  assert.match(tree, /Configured=False ConfigurationRefused: 1 of 1 pods refuse/);

  await namespace.apply(stage.documents({ gateway: { template } }).gateway);
  await namespace.untilCondition('hgw/chat', 'Configured', 'True/Configured', patiently);
  await namespace.untilReady(...chatResources);
});
