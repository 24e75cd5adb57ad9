/** What pods report about their configuration over a real NATS server, and what the operator makes of it. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from 'nats';

import { configDigestOf } from '../../../crds/config-digest.ts';
import { decodeReport, type PodReport } from '../../../runtime/bus/port/reports.ts';
import { ConfigReport } from '../../../runtime/role/config-report.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { natsOrSkip, startNats, type TestNats } from '../../kit/nats.ts';
import { natsGroup, untilEntries } from '../../runtime/bus/nats/kit.ts';
import { type Any, type FakeApi, startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, processor, startOperator, type TestOperator } from '../kit/operator.ts';

const skip = await natsOrSkip();
const timing = { observeMs: 3000 };

const configured = (api: FakeApi): Any => condition(api.get('hydrogengateways', 'chat'), 'Configured');
const digestIn = (api: FakeApi): string =>
  configDigestOf(api.get('configmaps', 'chat-gateway').data['hydrogen.yaml'] as string);

function reportOf(api: FakeApi, pod: string, more: Partial<PodReport> = {}): ConfigReport {
  return new ConfigReport({ kind: 'HydrogenGateway', name: 'chat', pod, digest: digestIn(api), ...more });
}

/** A gateway with this many ready pods, which do not report yet. */
async function startGateway(nats: TestNats, api: FakeApi, pods: number): Promise<TestOperator> {
  const operator = startOperator(api.kubeconfig, { timing });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogengateways', gateway({ replicas: pods }));
  await eventually(() => api.get('deployments', 'chat-gateway') !== undefined);
  scale(api, pods);
  return operator;
}

function scale(api: FakeApi, pods: number): void {
  const live = api.get('deployments', 'chat-gateway');
  const counts = { replicas: pods, readyReplicas: pods, availableReplicas: pods, updatedReplicas: pods };
  api.put('deployments', { ...live, status: { ...counts, observedGeneration: live.metadata.generation } });
}

test('pods that report nothing are named, and keep nobody from being Ready', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = await startGateway(nats, api, 2);
  await eventually(() => configured(api)?.message?.startsWith('no pod says') === true);
  assert.equal(configured(api).status, 'Unknown');
  await eventually(() => condition(api.get('hydrogengateways', 'chat'), 'Ready').status === 'True');
});

test('the reports of pods are followed: earlier, refused, current, gone', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = await startGateway(nats, api, 2);
  await using pods = natsGroup(nats, { group: 'shop_chat' });
  const [a, b] = [reportOf(api, 'chat-gateway-a'), reportOf(api, 'chat-gateway-b', { digest: 'earlier' })];
  await pods.started({ report: a });
  const busOfB = await pods.started({ report: b });
  await eventually(() => configured(api)?.reason === 'PodsConfiguring');
  assert.match(configured(api).message, /^1 of 2 pods still run an earlier configuration/);
  assert.equal(condition(api.get('hydrogengateways', 'chat'), 'Ready').reason, 'PodsConfiguring');

  await b.note(digestIn(api), { kind: 'refused', problem: 'spec.endpoints is\nodd' });
  await eventually(() => configured(api).reason === 'ConfigurationRefused');
  assert.match(configured(api).message, /^1 of 2 pods refuse .* pod chat-gateway-b says: spec\.endpoints is odd;/);
  assert.equal(condition(api.get('hydrogengateways', 'chat'), 'Stalled').reason, 'ConfigurationRefused');

  await b.note(digestIn(api), { kind: 'taken', needsRestart: [] });
  await eventually(() => configured(api).reason === 'Configured');
  // A pod that is killed says nothing, but answers no more, either.
  await b.note('other', { kind: 'taken', needsRestart: [] });
  await eventually(() => configured(api).reason === 'PodsConfiguring');
  await busOfB.stop();
  scale(api, 1);
  await eventually(() => configured(api).reason === 'Configured', { timeoutMs: 20_000 });
});

test('a new configuration is not in force until every pod says so', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = await startGateway(nats, api, 1);
  await using pods = natsGroup(nats, { group: 'shop_chat' });
  const report = reportOf(api, 'chat-gateway-a');
  await pods.started({ report });
  await eventually(() => configured(api)?.reason === 'Configured');
  const before = digestIn(api);
  api.put('hydrogengateways', gateway({ replicas: 1, limits: { maxConnections: 5 } }));
  await eventually(() => configured(api).reason === 'PodsConfiguring');
  assert.notEqual(digestIn(api), before);
  // It takes effect only in another process.
  await report.note(digestIn(api), { kind: 'taken', needsRestart: ['spec.nats of the group'] });
  await holds(() => configured(api).reason === 'PodsConfiguring', 300);
  await report.note(digestIn(api), { kind: 'taken', needsRestart: [] });
  await eventually(() => configured(api).reason === 'Configured');
});

test('what is not a report changes nothing', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = await startGateway(nats, api, 1);
  await using pods = natsGroup(nats, { group: 'shop_chat' });
  await pods.started({ report: reportOf(api, 'chat-gateway-a') });
  await eventually(() => configured(api)?.reason === 'Configured');
  const connection = await connect({ servers: nats.url });
  const forged = { kind: 'HydrogenGateway', name: 'chat', pod: 'chat-gateway-b', digest: 'other' };
  for (const text of [
    '',
    'null',
    '[',
    '7',
    JSON.stringify({ ...forged, kind: 'Pod' }),
    JSON.stringify({ ...forged, pod: 'A b' }),
    JSON.stringify({ ...forged, digest: { a: 1 } }),
    JSON.stringify({ ...forged, more: 'x'.repeat(9000) }),
  ]) {
    connection.publish(pods.subjects.reports, text);
  }
  await connection.flush();
  await holds(() => configured(api).reason === 'Configured', 500);
  connection.publish(pods.subjects.reports, JSON.stringify(forged));
  await eventually(() => configured(api).reason === 'PodsConfiguring');
  await connection.close();
});

test('the lag counts the messages of entries as pods have found them', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 50 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  const pending = (): number | undefined => api.get('hydrogenmessageprocessors', 'chat').status?.lag?.pendingMessages;
  await eventually(() => pending() === 0);
  await using kit = natsGroup(nats, { group: 'shop_chat' });
  const { connection } = await kit.client();
  const subject = kit.subjects.entry('/chat', 0, undefined);
  for (const _entry of [1, 2, 3]) await connection.jetstream().publish(subject, '');
  // No pod has read any.
  await eventually(() => pending() === 3 * 8);
  const report = { kind: 'HydrogenMessageProcessor', name: 'chat', pod: 'chat-mproc-a', digest: 'a' };
  connection.publish(kit.subjects.reports, JSON.stringify({ ...report, messagesPerEntry: 40 }));
  await eventually(() => pending() === 3 * 40);
});

test('a pod reports how many messages the entries hold that it has read', { skip }, async () => {
  await using nats = await startNats();
  await using kit = natsGroup(nats);
  const report = new ConfigReport({ kind: 'HydrogenMessageProcessor', name: 'chat', pod: 'chat-mproc-a', digest: 'a' });
  const pod = await kit.started({ report });
  const consumption = { processor: 'chat', endpoints: undefined, ackTimeoutMs: 10_000, maxInFlight: 1000 };
  pod.messages.consume(
    { ...consumption, ordering: 'Unordered', partitions: 1 },
    (delivery) => delivery.ack(),
    (error) => assert.fail(error),
  );
  const { connection } = await kit.client();
  const means: (number | undefined)[] = [];
  connection.subscribe(kit.subjects.reports, {
    callback: (_, { data }) => void means.push(decodeReport(data)?.messagesPerEntry),
  });
  const gateway = await kit.started();
  await untilEntries(gateway);
  await eventually(async () => {
    connection.publish(kit.subjects.reportsWanted);
    await connection.flush();
    return (means.at(-1) ?? 0) >= 1;
  });
});
