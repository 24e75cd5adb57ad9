/** What waits for the destinations of a processor, from a real NATS server to the condition. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { DestinationBacklog, waitingFor } from '../../../operator/nats/backlog.ts';
import { createNatsBus } from '../../../runtime/bus/nats/nats.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { ConfigReport } from '../../../runtime/role/config-report.ts';
import { eventually } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { natsGroup } from '../../runtime/bus/nats/kit.ts';
import { startFakeApi } from '../kit/api.ts';
import { condition, group, processor, startOperator } from '../kit/operator.ts';

const skip = await natsOrSkip();

test('only what was there at two queries in a row waits', () => {
  const backlog = new DestinationBacklog();
  assert.equal(backlog.observe(new Map([['bad', 3]])), false);
  assert.equal(backlog.waiting.size, 0);
  assert.equal(
    backlog.observe(
      new Map([
        ['bad', 4],
        ['late', 1],
      ]),
    ),
    true,
  );
  assert.deepEqual([...backlog.waiting], [['bad', 4]]);
  assert.equal(backlog.observe(new Map([['bad', 4]])), false, 'nothing new');
  assert.equal(backlog.observe(new Map()), true);
  assert.equal(backlog.waiting.size, 0);
});

test('what waits in pods is added up, and counts where a room holds less', () => {
  const rooms = new Map([
    ['bad', 100],
    ['other', 5],
  ]);
  const a = [
    { destination: 'bad', messages: 8, oldestMs: 2_000, failingSinceMs: 3_000 },
    { destination: 'ordered', messages: 40, oldestMs: 7_000 },
  ];
  const b = [{ destination: 'ordered', messages: 2, oldestMs: 6_000, failingSinceMs: 6_500 }];
  assert.deepEqual(Object.fromEntries(waitingFor(rooms, [{ backlogs: a }, {}, { backlogs: b }])), {
    bad: { messages: 100, oldestMs: 2_000, failingSinceMs: 3_000 },
    other: { messages: 5 },
    ordered: { messages: 42, oldestMs: 6_000, failingSinceMs: 6_500 },
  });
});

test('what waits in the pods of an ordered processor is in its condition', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 3_000 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  const delivering = () => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Delivering');
  await eventually(() => delivering()?.status === 'True');
  await using kit = natsGroup(nats, { group: 'shop_chat' });
  const report = new ConfigReport({ kind: 'HydrogenMessageProcessor', name: 'chat', pod: 'chat-mproc-a', digest: 'a' });
  const oldestMs = Date.UTC(2026, 10, 27, 20, 10, 5);
  let backlogs = [{ destination: 'bad', messages: 120, oldestMs, failingSinceMs: oldestMs + 4_000 }];
  report.addBacklogs(() => backlogs);
  await kit.started({ report });
  await eventually(() => delivering()?.reason === 'MessagesWaiting');
  assert.match(
    delivering().message,
    /^messages wait: 120 for the destination of bad \(oldest of 2026-11-27T20:10:05Z, failing since 2026-11-27T20:10:09Z\);/,
  );
  backlogs = [];
  await eventually(() => delivering()?.status === 'True');
});

test('a processor names the rules whose messages wait, until they no longer do', { skip }, async () => {
  await using nats = await startNats();
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig, { timing: { observeMs: 200 } });
  api.put('hydrogengroups', group(nats.url));
  api.put('hydrogenmessageprocessors', processor());
  const delivering = () => condition(api.get('hydrogenmessageprocessors', 'chat'), 'Delivering');
  await eventually(() => delivering()?.status === 'True');

  const bus = createNatsBus({
    group: 'shop_chat',
    servers: [nats.url],
    clientName: 'test',
    stream: { storage: 'File', replicas: 1, maxAgeMs: 86_400_000, maxBytes: 2 ** 30 },
    deadLetter: { maxAgeMs: 86_400_000, maxBytes: 2 ** 30 },
    leaseMs: 30_000,
  });
  await bus.start();
  const parked = Promise.withResolvers<void>();
  const park = async (delivery: Delivery): Promise<void> => {
    await bus.waiting.park('chat', 'bad', delivery, { attempts: 1, dueAtMs: 0 });
    parked.resolve();
  };
  const options = { processor: 'chat', endpoints: undefined, ackTimeoutMs: 30_000, maxInFlight: 8 } as const;
  const unordered = { ...options, ordering: 'Unordered', partitions: 1 } as const;
  const consumption = bus.messages.consume(unordered, (delivery) => void park(delivery), assert.fail);
  await eventually(() => consumption.isReady);
  const payload = Buffer.from('{}');
  await bus.messages.publish({ id: 'm-1', connectionId: 'a-1', endpoint: '/chat', callbackUrl: '', payload });
  await parked.promise;
  await eventually(() => delivering()?.reason === 'MessagesWaiting');
  assert.match(delivering().message, /^messages wait: 1 for the destination of bad;/);
  assert.equal(condition(api.get('hydrogenmessageprocessors', 'chat'), 'Stalled'), undefined);

  const room = { ackTimeoutMs: 30_000, maxOpen: 8 };
  bus.waiting.enter('chat', 'bad', room, (delivery) => delivery.ack(), assert.fail);
  await eventually(() => delivering()?.status === 'True');
  await bus.stop();
});
