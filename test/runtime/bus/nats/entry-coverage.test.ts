import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsumerConfig } from 'nats';
import { type KnownConsumer, metadataKeys } from '../../../../runtime/bus/nats/consumer-view.ts';
import { createEntryCoverage } from '../../../../runtime/bus/nats/entry-coverage.ts';
import { EntryReaders } from '../../../../runtime/bus/nats/entry-readers.ts';
import { createSubjects } from '../../../../runtime/bus/subjects.ts';

const subjects = createSubjects('shop_chat');

function consumer(name: string, filters: readonly string[], metadata: Record<string, string>): KnownConsumer {
  const config = { filter_subjects: filters, metadata } as unknown as ConsumerConfig;
  const at = { consumer_seq: 0, stream_seq: 0, last_active: 0 };
  return { name, config, num_pending: 0, num_ack_pending: 0, num_waiting: 0, ack_floor: at, delivered: at };
}

function singles(processor: string, endpoints?: readonly string[], shape = 'u'): KnownConsumer {
  const metadata = { [metadataKeys.processor]: processor, [metadataKeys.shape]: shape };
  return consumer(processor, subjects.filters(endpoints, 0, 1), metadata);
}

/** The lanes of an ordered processor, which cover entries if there are few enough. */
function lanes(processor: string, count: number, endpoints?: readonly string[]): KnownConsumer[] {
  const metadata = { [metadataKeys.processor]: processor, [metadataKeys.shape]: `l${count}` };
  return Array.from({ length: count }, (_, lane) =>
    consumer(`${processor}_l${lane}of${count}_t1`, subjects.laneFilters(endpoints, lane, count), metadata),
  );
}

function entries(processor: string, endpoints?: readonly string[]): KnownConsumer {
  return consumer(`${processor}_e`, subjects.entryFilters(endpoints), { [metadataKeys.entriesOf]: processor });
}

function keeps(consumers: readonly KnownConsumer[], endpoint = '/chat', kept = new Map<string, string[]>()): boolean {
  return createEntryCoverage(consumers, subjects, kept, () => true).keeps(endpoint);
}

test('entries are kept while every processor that covers the endpoint has a consumer of them', () => {
  assert.equal(keeps([]), false);
  assert.equal(keeps([singles('chat')]), false);
  assert.equal(keeps([singles('chat'), entries('chat')]), true);
  assert.equal(keeps([singles('chat'), entries('chat', ['/feed'])]), false);
  assert.equal(keeps([singles('chat'), entries('chat'), singles('old')]), false);
  assert.equal(keeps([singles('chat'), entries('chat'), singles('old', ['/feed'])]), true);
  assert.equal(keeps([singles('chat'), entries('chat'), singles('old', ['/feed'])], '/feed'), false);
});

test('a consumer of entries alone, or of an ordered processor, counts for nothing', () => {
  assert.equal(keeps([entries('chat')]), false);
  assert.equal(keeps([singles('chat', undefined, 'p1'), entries('chat')]), false);
});

test('lanes cover entries if each lane of entries lies in one of them, and all of them do', () => {
  for (const count of [1, 2, 4, 8, 16]) {
    assert.equal(keeps(lanes('chat', count)), true, `${count}`);
    assert.equal(keeps(lanes('chat', count, ['/chat'])), true, `${count}`);
    assert.equal(keeps(lanes('chat', count, ['/chat', '/feed']), '/other'), false, `${count}`);
    const [first, ...rest] = lanes('chat', count);
    const widened = rest.map((one) => ({ ...one, config: { ...one.config, filter_subjects: ['hydrogen.x'] } }));
    if (count > 1) assert.equal(keeps([first ?? assert.fail(), ...widened]), false, `${count}`);
  }
  assert.equal(keeps(lanes('chat', 32)), false);
  assert.equal(keeps([...lanes('chat', 16), singles('push'), entries('push')]), true);
  assert.equal(keeps([...lanes('chat', 16), singles('push')]), false);
});

test('entries to lanes are written while the first lane is read, and no consumer of an earlier release covers none', () => {
  const write = (consumers: readonly KnownConsumer[], read: readonly string[]): boolean =>
    createEntryCoverage(consumers, subjects, new Map(), (slot) => read.includes(slot)).isRead('/chat');
  assert.equal(write(lanes('chat', 4), []), false);
  assert.equal(write(lanes('chat', 4), ['chat_l0of4']), true);
  assert.equal(write([...lanes('chat', 4), singles('chat', undefined, 'p1')], ['chat_l0of4']), false);
  assert.equal(keeps([...lanes('chat', 4), singles('chat', undefined, 'p1')]), true);
});

test('the first lane is read while it changes hands', () => {
  const readers = new EntryReaders();
  const [first = assert.fail()] = lanes('chat', 4);
  const delivered = (consumer_seq: number) => ({ consumer_seq, stream_seq: 0, last_active: 0 });
  readers.look({ ...first, num_waiting: 1, delivered: delivered(9) });
  readers.lookAll([{ ...first, name: 'chat_l0of4_t2', num_waiting: 0, delivered: delivered(0) }]);
  assert.equal(readers.isRead('chat_l0of4'), true);
  readers.leave('chat');
  assert.equal(readers.isRead('chat_l0of4'), false);
});

test('a processor that has announced to leave an endpoint has no say there', () => {
  const both = [singles('chat'), entries('chat'), singles('old')];
  assert.equal(keeps(both, '/chat', new Map([['old', []]])), true);
});

test('entries are read while a replica waits for them, or has been given some, and not once the last one leaves', () => {
  const readers = new EntryReaders();
  const seen = (num_waiting: number, consumer_seq: number): KnownConsumer => ({
    ...entries('chat'),
    num_waiting,
    delivered: { consumer_seq, stream_seq: 0, last_active: 0 },
  });
  assert.equal(readers.isRead('chat_e'), false);
  readers.look(seen(0, 7));
  assert.equal(readers.isRead('chat_e'), false, 'of what was before the first look nothing is known');
  readers.look(seen(0, 8));
  assert.equal(readers.isRead('chat_e'), true);
  readers.leave('chat');
  assert.equal(readers.isRead('chat_e'), false);
  readers.look(seen(0, 9));
  assert.equal(readers.isRead('chat_e'), false, 'the one that leaves still reads');
  readers.look(seen(1, 9));
  readers.look(seen(0, 10));
  assert.equal(readers.isRead('chat_e'), true);
  readers.lookAll([]);
  assert.equal(readers.isRead('chat_e'), false);
});
