import assert from 'node:assert/strict';
import test from 'node:test';
import { type ApiObject, type Chart, JsonPatch } from 'cdk8s';
import * as kplus from 'cdk8s-plus-28';

import {
  HydrogenCrds,
  HydrogenGateway,
  HydrogenGatewayResource,
  HydrogenGroup,
  HydrogenGroupResource,
  HydrogenMessageProcessor,
  HydrogenMessageProcessorResource,
  InvalidDocuments,
} from '../../infra/index.ts';
import { at, find, identities, synth } from './kit.ts';

const external = { nats: { servers: ['nats://nats:4222'] } };
const endpoints = [{ path: '/chat' }];
const routing = { rules: [{ name: 'all', pattern: '.*', destination: { url: 'http://messages/' } }] };

test('takes the namespace of the chart, and passes it to the members of a group', () => {
  const build = (chart: Chart): void => {
    const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
    const gateway = new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints } });
    assert.equal(gateway.managementUrl, 'http://chat-management.shop.svc:8081');
    assert.equal(gateway.clientUrl, 'ws://chat-gateway.shop.svc:80');
  };
  const objects = synth(build, 'chart', 'shop');
  assert.deepEqual([...new Set(objects.map((object) => at(object, 'metadata.namespace')))], ['shop']);
});

test('takes a group from a document that is created elsewhere', () => {
  const group = {
    apiVersion: 'hydrogen.dev/v1alpha1',
    kind: 'HydrogenGroup',
    metadata: { name: 'chat', namespace: 'shop' },
    spec: external,
  } as const;
  const objects = synth((chart) => new HydrogenGateway(chart, 'gateway', { name: 'web', group, spec: { endpoints } }));
  assert.match(String(at(find(objects, 'ConfigMap'), 'data["hydrogen.yaml"]')), /nats:\/\/nats:4222/);
});

test('reports every problem of a spec at once, with its path', () => {
  const spec = { endpoints: [{ path: 'chat' }], heartbeat: { intervalSeconds: 90 } };
  assert.throws(
    () =>
      synth((chart) => {
        const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
        new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec });
      }),
    (error) =>
      error instanceof InvalidDocuments &&
      /HydrogenGateway\/chat: spec\.endpoints\[0\]\.path: must be a URL path/.test(error.message) &&
      /spec\.heartbeat\.timeoutSeconds: must exceed intervalSeconds \(90\), is 75/.test(error.message),
  );
});

test('refuses a member whose namespace or group is not that of its group', () => {
  const gatewayWith = (props: object): (() => unknown) => {
    return () =>
      synth((chart) => {
        const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
        new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints }, ...props });
      });
  };
  assert.throws(
    gatewayWith({ namespace: 'other' }),
    /metadata\.namespace: must be that of its group, default, is other/,
  );
  assert.throws(
    gatewayWith({ spec: { endpoints, groupRef: { name: 'other' } } }),
    /spec\.groupRef\.name: must be the name of the given group, chat, is other/,
  );
});

test('refuses a path that neither an ingress nor a route can have', () => {
  const spec = { endpoints: [{ path: '/a%2Fb' }], ingress: { hosts: ['a.example.com'] } };
  assert.throws(
    () =>
      synth((chart) => {
        const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
        new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec });
      }),
    /spec\.endpoints\[0\]\.path: must not contain %2F together with ingress/,
  );
});

test('lets network policies of cdk8s-plus select the pods of a gateway', () => {
  const objects = synth((chart) => {
    const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
    const gateway = new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints } });
    new kplus.NetworkPolicy(chart, 'policy', {
      metadata: { name: 'from-gateway' },
      ingress: { rules: [{ peer: gateway, ports: [kplus.NetworkPolicyPort.tcp(80)] }] },
    });
  });
  const [peer] = at(find(objects, 'NetworkPolicy', 'from-gateway'), 'spec.ingress[0].from') as object[];
  assert.deepEqual(at(peer, 'podSelector.matchLabels'), { 'hydrogen.dev/gateway': 'chat' });
});

test('opens the management port to the peers that the user names, and to no others outside the namespace', () => {
  const peer = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'billing' } } };
  const objects = synth((chart) => {
    const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
    new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints }, managementFrom: [peer] });
  });
  const rules = at(find(objects, 'NetworkPolicy'), 'spec.ingress') as { ports: object[]; from?: object[] }[];
  assert.deepEqual(rules.find(({ ports }) => at(ports, '[0].port') === 'management')?.from, [
    { podSelector: {} },
    peer,
  ]);
});

test('adds a monitor that finds the one service with the metrics port', () => {
  const objects = synth((chart) => {
    const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
    const serviceMonitor = { labels: { release: 'prometheus' }, intervalSeconds: 15 };
    new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints }, serviceMonitor });
    new HydrogenMessageProcessor(chart, 'processor', { name: 'chat', group, spec: { routing }, serviceMonitor });
  });
  for (const name of ['chat-gateway', 'chat-mproc']) {
    const monitor = find(objects, 'ServiceMonitor', name);
    assert.equal(at(monitor, 'metadata.labels.release'), 'prometheus');
    const wanted = Object.entries(at(monitor, 'spec.selector.matchLabels') as object);
    const services = objects.filter(
      (object) =>
        object.kind === 'Service' &&
        wanted.every(([label, value]) => at(object, `metadata.labels["${label}"]`) === value),
    );
    assert.equal(services.length, 1, name);
    assert.ok((at(services[0], 'spec.ports') as object[]).some((port) => at(port, 'name') === 'metrics'));
  }
});

test('writes custom resources as the user wrote them, after checking them', () => {
  const objects = synth((chart) => {
    new HydrogenGroupResource(chart, 'group', { metadata: { name: 'chat' }, spec: external });
    new HydrogenGatewayResource(chart, 'gateway', {
      metadata: { name: 'chat', labels: { team: 'chat' } },
      spec: { groupRef: { name: 'chat' }, endpoints },
    });
    new HydrogenMessageProcessorResource(chart, 'processor', {
      metadata: { name: 'chat' },
      spec: { groupRef: { name: 'chat' }, routing },
    });
  });
  assert.deepEqual(identities(objects), [
    'HydrogenGroup/chat',
    'HydrogenGateway/chat',
    'HydrogenMessageProcessor/chat',
  ]);
  assert.deepEqual(find(objects, 'HydrogenGateway'), {
    apiVersion: 'hydrogen.dev/v1alpha1',
    kind: 'HydrogenGateway',
    metadata: { name: 'chat', labels: { team: 'chat' } },
    spec: { endpoints, groupRef: { name: 'chat' } },
  });
  const invalid = { metadata: { name: 'chat' }, spec: { nats: {} } };
  assert.throws(
    () => synth((chart) => new HydrogenGroupResource(chart, 'group', invalid)),
    /HydrogenGroup\/chat: spec\.nats: must have exactly one of servers, managed/,
  );
});

test('allows patches of a deployment, even with fields that cdk8s does not know', () => {
  const objects = synth((chart) => {
    const group = new HydrogenGroup(chart, 'group', { name: 'chat', spec: external });
    const gateway = new HydrogenGateway(chart, 'gateway', { name: 'chat', group, spec: { endpoints } });
    const deployment = gateway.node.findChild('Deployment') as ApiObject;
    deployment.addJsonPatch(JsonPatch.add('/spec/template/spec/fieldOfTomorrow', true));
  });
  assert.equal(at(find(objects, 'Deployment'), 'spec.template.spec.fieldOfTomorrow'), true);
});

test('keeps the definitions out of the namespace of their chart', () => {
  const objects = synth((chart) => new HydrogenCrds(chart, 'crds'), 'chart', 'shop');
  assert.equal(objects.length, 5);
  for (const object of objects) assert.equal(at(object, 'metadata.namespace'), undefined);
});
