/** Patterns that no pod could run: the operator refuses them as well, whoever stored them. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { customResourceDefinitions } from '../../crds/manifest.ts';
import { definitionsPath, startCluster } from '../cluster/kit.ts';
import { apiServerOrSkip, type TestApiServer } from '../kit/apiserver.ts';
import { everythingTo } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import type { Any } from './kit/api.ts';
import { asOperator, customPath, put } from './kit/cluster.ts';
import { condition, group, processor, startOperator } from './kit/operator.ts';

const skip = await apiServerOrSkip();
const definition: Any = customResourceDefinitions().find(
  ({ spec }) => (spec as Any).names.kind === 'HydrogenMessageProcessor',
);

/** Applies the definition of processors; without its rules, as an earlier release had it. */
async function define(cluster: TestApiServer, hasRules: boolean): Promise<void> {
  const text = JSON.stringify(definition, (key, value) =>
    key === 'x-kubernetes-validations' && !hasRules ? undefined : value,
  );
  const { status, body } = await cluster.apply(`${definitionsPath}/${definition.metadata.name}`, JSON.parse(text));
  assert.equal(status, 200, JSON.stringify(body));
}

/** A processor whose one rule has this pattern. */
function matching(pattern: string): Any {
  const { rules } = everythingTo('http://messages/') as { rules: Any[] };
  return processor({ routing: { rules: rules.map((rule) => ({ ...rule, pattern })) } });
}

test('a stored pattern that does not compile is InvalidSpec with its reason, and pods keep their configuration', {
  skip,
}, async () => {
  await using cluster = await startCluster();
  const kubeconfig = await asOperator(cluster);
  await put(cluster, group());
  await put(cluster, matching('^good'));
  await using _running = startOperator(kubeconfig);
  const read = (): Promise<Any> => cluster.get(`${customPath}/hydrogenmessageprocessors/chat`);
  const configuration = async (): Promise<string> =>
    (await cluster.get('/api/v1/namespaces/shop/configmaps/chat-mproc')).data['hydrogen.yaml'];
  await eventually(async () => (await configuration()).includes('^good'));

  await define(cluster, false);
  await eventually(async () => {
    const { status } = await cluster.apply(`${customPath}/hydrogenmessageprocessors/chat`, matching('a(?=b)'), 'user');
    return status === 200;
  });
  const reason = async (type: string): Promise<string> => condition(await read(), type)?.reason;
  await eventually(async () => (await reason('Accepted')) === 'InvalidSpec');
  const { message } = condition(await read(), 'Accepted');
  const said = 'spec.routing.rules[0].pattern must be a regular expression in RE2 syntax: invalid or unsupported Perl';
  assert.ok(message.includes(said), message);
  assert.match(await configuration(), /\^good/);

  await define(cluster, true);
  await put(cluster, matching('^better'));
  await eventually(async () => (await reason('Accepted')) === 'Accepted');
  assert.match(await configuration(), /\^better/);
});
