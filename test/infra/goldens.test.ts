/** `goldens/<case>.in.yaml` renders to `<case>.out.yaml`, byte for byte. Rewritten by `npm run goldens`. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { type Manifest, toYaml } from '../../infra/yaml.ts';
import { at, find, identities, renderYaml } from './kit.ts';

const folder = join(import.meta.dirname, 'goldens');
const container = 'spec.template.spec.containers[0]';

/** The main point of each case. */
const points: Record<string, (objects: Manifest[]) => void> = {
  'gateway-plain': (objects) => {
    assert.equal(at(find(objects, 'Deployment'), 'spec.template.spec.terminationGracePeriodSeconds'), 120 + 15);
    assert.equal(at(find(objects, 'Deployment'), 'spec.replicas'), 3);
  },
  'gateway-ingress': (objects) => {
    const annotations = at(find(objects, 'Ingress'), 'metadata.annotations') as Record<string, string>;
    assert.equal(annotations['nginx.ingress.kubernetes.io/proxy-read-timeout'], '3600');
    assert.equal(annotations['cert-manager.io/cluster-issuer'], 'letsencrypt');
  },
  'gateway-http-route': (objects) => {
    const rule = 'spec.rules[0].timeouts';
    assert.deepEqual(at(find(objects, 'HTTPRoute'), rule), { backendRequest: '0s', request: '0s' });
  },
  'gateway-hpa': (objects) => {
    assert.equal(at(find(objects, 'Deployment'), 'spec.replicas'), undefined);
    const policies = at(find(objects, 'HorizontalPodAutoscaler'), 'spec.behavior.scaleDown.policies');
    assert.deepEqual(policies, [{ periodSeconds: 315, type: 'Pods', value: 1 }]);
  },
  'gateway-secrets': (objects) => {
    const sources = at(find(objects, 'Deployment'), 'spec.template.spec.volumes[1].projected.sources') as object[];
    const mounted = sources.flatMap((source) => at(source, 'secret.items') as { path: string }[]);
    assert.deepEqual(
      mounted.map(({ path }) => path),
      ['auth/token', 'issuer/jwks.json', 'nats/ca.crt', 'nats/user.creds', 'push/token'],
    );
  },
  'processor-rules': (objects) => {
    assert.equal(at(find(objects, 'Deployment'), 'spec.template.spec.terminationGracePeriodSeconds'), 45 + 15);
  },
  'processor-rules-engine': (objects) => {
    assert.equal(at(find(objects, 'Deployment'), 'spec.template.spec.terminationGracePeriodSeconds'), 7 + 20 + 15);
  },
  'gateway-egress': (objects) => {
    const policy = find(objects, 'NetworkPolicy', 'chat-gateway');
    assert.deepEqual(at(policy, 'spec.policyTypes'), ['Ingress', 'Egress']);
    const nats = { podSelector: { matchLabels: { 'hydrogen.dev/nats': 'chat' } } };
    assert.deepEqual(at(policy, 'spec.egress[1].to'), [nats]);
  },
  'group-external': (objects) => assert.deepEqual(identities(objects), []),
  'group-managed-1': (objects) => {
    assert.doesNotMatch(String(at(find(objects, 'ConfigMap'), 'data["nats.conf"]')), /cluster/);
  },
  'group-managed-3': (objects) => {
    const routes = String(at(find(objects, 'ConfigMap'), 'data["nats.conf"]')).match(/chat-nats-\d\S+/g);
    assert.deepEqual(
      routes,
      [0, 1, 2].map((index) => `chat-nats-${index}.chat-nats-headless.shop.svc:6222"`),
    );
    assert.deepEqual(at(find(objects, 'StatefulSet'), `${container}.command`), ['sh', '/etc/nats/start.sh']);
  },
};

const names = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => file.replace('.in.yaml', ''));

test('every golden has an assertion, and every assertion a golden', () => {
  assert.deepEqual(Object.keys(points).sort(), names.sort());
});

for (const name of names) {
  test(`renders ${name} to its golden`, () => {
    const objects = renderYaml(readFileSync(join(folder, `${name}.in.yaml`), 'utf8'));
    const text = toYaml(objects);
    const file = join(folder, `${name}.out.yaml`);
    if (process.env.UPDATE_GOLDENS) writeFileSync(file, text);
    assert.equal(text, readFileSync(file, 'utf8'));
    points[name]?.(objects);
  });
}
