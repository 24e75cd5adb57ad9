/** What a status says about the surroundings of an object: endpoints without a counterpart, addresses, autoscalers. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { gatewayDocument } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { stageOrSkip, useStage } from './chat.ts';
import type { Any, Namespace } from './platform.ts';

const skip = await stageOrSkip();
const stage = useStage(skip);
const patiently = { timeoutMs: 40_000, everyMs: 100 };

async function messageOf(namespace: Namespace, resource: string, type: string): Promise<string> {
  const { status } = await namespace.get(resource);
  return status.conditions.find((one: Any) => one.type === type).message;
}

test('a gateway and a processor whose endpoints do not match name them, until they match', { skip }, async () => {
  const namespace = await stage.platform.namespace('endpoints');
  const endpoints = [{ path: '/chat' }, { path: '/orders' }];
  const of = (paths: string[]): object => stage.documents({ processor: { endpoints: paths } }).processor;
  await namespace.apply(stage.documents().group, gatewayDocument({ endpoints }));
  await namespace.untilCondition('hgw/chat', 'EndpointsMatched', 'False/ProcessorMissing');
  await namespace.apply(of(['/chat', '/order']));
  await namespace.untilCondition('hmp/chat', 'EndpointsMatched', 'False/GatewayMissing');
  await eventually(async () =>
    /takes the messages of \/orders, so/.test(await messageOf(namespace, 'hgw/chat', 'EndpointsMatched')),
  );
  assert.match(await messageOf(namespace, 'hmp/chat', 'EndpointsMatched'), /takes messages at \/order;/);
  await namespace.apply(of(['/chat', '/orders']));
  for (const resource of ['hgw/chat', 'hmp/chat']) {
    await namespace.untilCondition(resource, 'EndpointsMatched', 'True/EndpointsMatched');
  }
  await namespace.kubectl(['delete', 'hgw', 'chat', '--wait=false']);
  await namespace.untilCondition('hmp/chat', 'EndpointsMatched', 'False/GatewayMissing');
});

test('an autoscaler that cannot scale shows, with its own words', { skip }, async () => {
  const namespace = await stage.platform.namespace('scaling');
  const { group, gateway, processor } = stage.documents({ gateway: { autoscaling: { maxReplicas: 3 } } });
  await namespace.apply(group, gateway, processor);
  // The cluster has no metrics server.
  await namespace.untilCondition('hgw/chat', 'Scaling', 'False/ScalingFailed', patiently);
  const said = /^the autoscaler cannot set the number of pods: .*cpu/;
  await eventually(async () => said.test(await messageOf(namespace, 'hgw/chat', 'Scaling')), patiently).catch(
    async () => assert.match(await messageOf(namespace, 'hgw/chat', 'Scaling'), said),
  );
  assert.equal(await namespace.condition('hmp/chat', 'Scaling'), 'none');
});

test('a gateway says whether callers of its management API need a token', { skip }, async () => {
  const namespace = await stage.platform.namespace('management');
  const { group, gateway } = stage.documents();
  await namespace.apply(group, gateway);
  await namespace.untilCondition('hgw/chat', 'ManagementProtected', 'False/NoToken');
  const tokens = [{ name: 'ops', secretRef: { name: 'api', key: 'ops' }, scopes: ['Send'] }];
  await namespace.apply(stage.documents({ gateway: { management: { tokens } } }).gateway);
  await namespace.untilCondition('hgw/chat', 'ManagementProtected', 'True/ManagementProtected');
});

test('a gateway behind an ingress says that it does not know its clients, until it trusts proxies', {
  skip,
}, async () => {
  const namespace = await stage.platform.namespace('exposure');
  const ingress = { hosts: ['chat.example.com'] };
  const { group, gateway } = stage.documents({ gateway: { ingress } });
  await namespace.apply(group, gateway);
  await namespace.untilCondition('hgw/chat', 'ClientAddressesKnown', 'False/NoTrustedProxies');
  assert.match(
    await messageOf(namespace, 'hgw/chat', 'ClientAddressesKnown'),
    /through spec\.ingress .*trustedProxies/,
  );
  await namespace.apply(stage.documents({ gateway: { ingress, trustedProxies: ['10.0.0.0/8'] } }).gateway);
  await namespace.untilCondition('hgw/chat', 'ClientAddressesKnown', 'True/ClientAddressesKnown');
  await namespace.apply(stage.documents().gateway);
  await namespace.untilCondition('hgw/chat', 'ClientAddressesKnown', 'none');
});

test('the addresses are those of the load balancer once it has some', { skip }, async () => {
  const namespace = await stage.platform.namespace('addresses');
  const { group, gateway } = stage.documents({ gateway: { service: { type: 'LoadBalancer' } } });
  await namespace.apply(group, gateway);
  const endpoints = async (): Promise<string> => (await namespace.get('hgw/chat')).status?.endpoints?.join() ?? '';
  await eventually(async () => (await endpoints()) === 'ws://chat-gateway.addresses.svc/chat');
  const status = { loadBalancer: { ingress: [{ hostname: 'lb.example.com' }, { ip: '2001:db8::1' }] } };
  const patch = JSON.stringify({ status });
  await namespace.kubectl(['patch', 'service/chat-gateway', '--subresource=status', '--type=merge', '-p', patch]);
  await eventually(async () => (await endpoints()) === 'ws://lb.example.com/chat,ws://[2001:db8::1]/chat');
});
