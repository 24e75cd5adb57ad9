import assert from 'node:assert/strict';
import test from 'node:test';
import { createKube } from '../../../operator/kube/client.ts';
import { drawGroup, readGroups } from '../../../operator/status/describe.ts';
import { eventually } from '../../kit/eventually.ts';
import { startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, processor, startOperator } from '../kit/operator.ts';

test('a group is shown with its members, their workloads, and the conditions that keep each from being ready', async () => {
  await using api = await startFakeApi();
  api.put('hydrogengroups', group());
  api.put('hydrogengateways', gateway());
  api.put('hydrogenmessageprocessors', processor({ replicas: 2 }));
  api.put('hydrogengateways', {
    ...gateway({ groupRef: { name: 'else' } }),
    metadata: { name: 'far', namespace: 'shop' },
  });
  await using _ = startOperator(api.kubeconfig);
  const isSettled = (plural: string): boolean => {
    const object = api.get(plural, 'chat');
    const says = condition(object, 'GroupReady')?.message ?? '';
    return condition(object, 'Available')?.reason === 'PodsNotReady' && says.includes('cannot be reached');
  };
  await eventually(() => isSettled('hydrogengateways') && isSettled('hydrogenmessageprocessors'));
  const kube = createKube({ kubeconfig: api.kubeconfig });
  const groups = await readGroups(kube, 'shop');
  const chat = groups.find(({ name }) => name === 'chat');
  assert.ok(chat);
  const tree = drawGroup(chat);
  assert.match(tree, /^HydrogenGroup\/chat {2}Ready=False\n│ BusReachable=False BusUnreachable: /);
  assert.match(tree, /\n├─HydrogenGateway\/chat {2}Ready=False\n/);
  assert.match(tree, /\n│ └─Deployment\/chat-gateway {2}0 of 1 pods available, 0 up to date\n/);
  assert.match(tree, /\n└─HydrogenMessageProcessor\/chat {2}Ready=False\n/);
  assert.match(tree, /\n {2}└─Deployment\/chat-mproc {2}0 of 2 pods available, 0 up to date\n$/);
  assert.doesNotMatch(tree, /far/);
  assert.deepEqual(
    groups.map(({ name, ready, members }) => [name, ready, members.length]),
    [
      ['chat', 'False', 2],
      ['else', 'Missing', 1],
    ],
  );
  kube.close();
});
