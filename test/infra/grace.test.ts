import assert from 'node:assert/strict';
import test from 'node:test';
import { gatewayStopSeconds, processorStopSeconds } from '../../crds/contract.ts';
import { gatewayGraceSeconds, longestDeliverySeconds, processorGraceSeconds } from '../../crds/grace.ts';
import { at, documents, find, renderYaml } from './kit.ts';

const grace = 'spec.template.spec.terminationGracePeriodSeconds';
const preStop = 'spec.template.spec.containers[0].lifecycle.preStop';

test('the grace period of a gateway is its drain and the budget that its process keeps to', () => {
  const deployment = find(renderYaml(documents({ gateway: 'drain: {periodSeconds: 90}' })), 'Deployment');
  assert.equal(at(deployment, preStop), undefined);
  assert.equal(at(deployment, grace), gatewayGraceSeconds({ drain: { periodSeconds: 90 } }));
  assert.equal(at(deployment, grace), 90 + gatewayStopSeconds);
});

test('the grace period of a message processor is its longest delivery and the budget that its process keeps to', () => {
  const rule = (name: string, timeoutSeconds: number): string =>
    `{name: ${name}, pattern: "x", destination: {url: "http://a/", timeoutSeconds: ${timeoutSeconds}}}`;
  const processor = `routing: {rules: [${rule('fast', 3)}, ${rule('slow', 40)}]}`;
  const deployment = find(renderYaml(documents({ processor })), 'Deployment');
  assert.equal(at(deployment, preStop), undefined);
  assert.equal(at(deployment, grace), 40 + processorStopSeconds);
});

test('a rules engine and what it names may take their times one after the other', () => {
  const engine = { url: 'http://e/', headers: [], allowedHosts: ['a'], reply: false };
  const rulesEngine = { ...engine, timeoutSeconds: 7, destinationTimeoutSeconds: 20 };
  const routing = { rulesEngine, unmatched: 'DeadLetter' as const };
  assert.equal(longestDeliverySeconds({ routing }), 27);
  assert.equal(processorGraceSeconds({ routing }), 27 + processorStopSeconds);
});
