/** What an editor shows over a field of a construct, as the language server says it. */
import assert from 'node:assert/strict';
import test from 'node:test';

import { gatewaySpec } from '../../crds/gateway.ts';
import { type Node, nodeOf } from '../../crds/schema.ts';
import { LanguageServer } from '../kit/language-server.ts';

const app = `
import { Chart, App } from 'cdk8s';
import { HydrogenGateway, HydrogenGroup } from '../../infra/index.ts';

const chart = new Chart(new App(), 'chat');
const group = new HydrogenGroup(chart, 'Group', { name: 'chat', spec: { nats: { servers: ['nats://nats:4222'] } } });
new HydrogenGateway(chart, 'Gateway', {
  name: 'chat',
  group,
  spec: { endpoints: [{ path: '/chat' }], limits: { maxMessageBytes: 1 }, mode: 'Bidirectional' },
});
`;
const path = 'test/infra/hover-app.ts';

/** The first sentence of the description that `kubectl explain` shows for a field of a gateway. */
function explained(...fields: readonly string[]): string {
  let node: Node | undefined = nodeOf(gatewaySpec);
  for (const field of fields) node = node?.properties?.[field];
  return node?.description?.split(/[.;]/)[0] ?? '';
}

test('an editor shows what kubectl explain says about a field, with its bounds and its default', async () => {
  await using server = await LanguageServer.start();
  const hover = (await server.hover(path, app, 'maxMessageBytes')).replaceAll('\n', ' ');
  assert.ok(hover.includes(explained('limits', 'maxMessageBytes')), hover);
  assert.match(hover, /maxMessageBytes\?: number/);
  assert.match(hover, /A whole number from 1 to 67108864\./);
  assert.match(hover, /@default\*? — 262144 \(256 KiB\)/);
});

test('an editor shows the description of the fields at the top of a spec', async () => {
  await using server = await LanguageServer.start();
  for (const field of ['endpoints', 'limits', 'mode']) {
    const hover = (await server.hover(path, app, `${field}:`)).replaceAll('\n', ' ');
    assert.ok(explained(field) !== '' && hover.includes(explained(field)), `${field}: ${hover}`);
  }
});
