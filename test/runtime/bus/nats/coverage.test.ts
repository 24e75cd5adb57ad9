import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsumerConfig } from 'nats';
import { metadataKeys } from '../../../../runtime/bus/nats/consumer-view.ts';
import { createCoverage, endpointsOf } from '../../../../runtime/bus/nats/coverage.ts';
import { createSubjects } from '../../../../runtime/bus/subjects.ts';

const subjects = createSubjects('shop_chat');
const lane = (endpoints: string[] | undefined, n: number): string[] => subjects.filters(endpoints, n, 2);

function consumer(filters: readonly string[], processor?: string): { config: ConsumerConfig } {
  const metadata = processor === undefined ? {} : { [metadataKeys.processor]: processor };
  return { config: { filter_subjects: filters, metadata } as unknown as ConsumerConfig };
}

test('an endpoint is covered when the filters of a processor together cover its partitions', () => {
  const covers = (filters: string[]): boolean => createCoverage([consumer(filters, 'chat')], subjects)('/chat');
  assert.equal(covers([]), false);
  assert.equal(covers(lane(['/chat'], 0)), false);
  assert.equal(covers([...lane(['/chat'], 0), ...lane(undefined, 1)]), true);
  assert.equal(covers([...lane(['/chat'], 0), ...lane(['/feed'], 1)]), false);
  assert.equal(covers(subjects.filters(['/feed'], 0, 1)), false);
  assert.equal(covers(subjects.filters(undefined, 0, 1)), true);
});

test('an endpoint is not covered while some processor covers only a part of it', () => {
  const all = consumer(subjects.filters(undefined, 0, 1), 'all');
  const [even, odd] = [consumer(lane(['/chat'], 0), 'chat'), consumer(lane(['/chat'], 1), 'chat')];
  assert.equal(createCoverage([all, even], subjects)('/chat'), false);
  assert.equal(createCoverage([all, even], subjects)('/feed'), true);
  assert.equal(createCoverage([all, even, odd], subjects)('/chat'), true);
});

test('only the consumers of processors cover anything', () => {
  assert.equal(createCoverage([consumer(subjects.filters(undefined, 0, 1))], subjects)('/chat'), false);
});

test('a processor covers only what it has announced to keep', () => {
  for (const filters of [subjects.filters(undefined, 0, 1), subjects.filters(['/chat', '/feed'], 0, 1)]) {
    const covers = createCoverage([consumer(filters, 'chat')], subjects, new Map([['chat', ['/feed']]]));
    assert.deepEqual([covers('/chat'), covers('/feed')], [false, true]);
  }
});

test('the endpoints of filters are read back from them', () => {
  assert.deepEqual(endpointsOf(subjects.filters(['/feed', '/chat'], 3, 64), subjects), ['/chat', '/feed']);
  assert.equal(endpointsOf(subjects.filters(undefined, 3, 64), subjects), undefined);
});
