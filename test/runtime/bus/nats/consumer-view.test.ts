import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listConsumers } from '../../../../runtime/bus/nats/consumer-view.ts';
import type { Requests } from '../../../../runtime/bus/nats/requests.ts';

const consumer = (name: string): object => ({ name, config: {} });

/** A server that answers with these pages, one after another. */
function answering(...pages: object[]): Requests {
  return {
    send: async () => ({ kind: 'down' }),
    open: () => undefined,
    confirm: async () => false,
    api: async <T>() => pages.shift() as T,
  };
}

test('reads every page of a list', async () => {
  const pages = [
    { total: 2, consumers: [consumer('a')] },
    { total: 2, consumers: [consumer('b')] },
  ];
  assert.deepEqual(
    (await listConsumers(answering(...pages), 'S')).map(({ name }) => name),
    ['a', 'b'],
  );
});

for (const [title, ...pages] of [
  ['names consumers whose server has not answered', { total: 2, consumers: [consumer('a')], missing: ['b'] }],
  ['changes between its pages', { total: 2, consumers: [consumer('a')] }, { total: 3, consumers: [consumer('b')] }],
  ['repeats a consumer', { total: 2, consumers: [consumer('a')] }, { total: 2, consumers: [consumer('a')] }],
  ['ends early', { total: 2, consumers: [consumer('a')] }, { total: 2, consumers: [] }],
] as const) {
  test(`takes a list for no answer that ${title}`, async () => {
    await assert.rejects(listConsumers(answering(...pages), 'S'), { code: 'HYD_BUS_UNREACHABLE' });
  });
}
