import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headers, type Msg } from 'nats';
import {
  headerBlock,
  headerValue,
  isNoResponders,
  parseAckSubject,
  receivedHeaders,
  statusCodeOf,
  statusTextOf,
} from '../../../../runtime/bus/nats/wire.ts';

test('writes headers and reads them back', () => {
  const block = headerBlock([
    ['Nats-Msg-Id', 'a-1'],
    ['hydrogen-callback', 'http://[::1]:8081/x?y=z'],
    ['empty', ''],
  ]);
  assert.equal(headerValue(block, 'Nats-Msg-Id'), 'a-1');
  assert.equal(headerValue(block, 'hydrogen-callback'), 'http://[::1]:8081/x?y=z');
  assert.equal(headerValue(block, 'empty'), '');
  assert.equal(headerValue(block, 'other'), undefined);
  assert.equal(statusCodeOf(block), 0);
});

test('refuses a header value that would start another header', () => {
  assert.throws(() => headerBlock([['name', 'a\r\nhydrogen-replay-for: chat']]), RangeError);
  assert.throws(() => headerBlock([['name', 'ü']]), RangeError);
});

test('reads a status with and without a text', () => {
  assert.deepEqual([statusCodeOf('NATS/1.0 503\r\n\r\n'), statusTextOf('NATS/1.0 503\r\n\r\n')], [503, '']);
  const deleted = 'NATS/1.0 409 Consumer Deleted\r\nNats-Pending-Messages: 3\r\n\r\n';
  assert.deepEqual([statusCodeOf(deleted), statusTextOf(deleted)], [409, 'Consumer Deleted']);
});

test('reads the headers of a message without raw bytes', () => {
  const parsed = headers(503, 'No Responders');
  parsed.set('a', 'b');
  const msg = { subject: 'x', sid: 1, data: new Uint8Array(0), headers: parsed } as unknown as Msg;
  assert.equal(headerValue(receivedHeaders(msg), 'a'), 'b');
  assert.equal(isNoResponders(msg), true);
  assert.equal(receivedHeaders({ subject: 'x', sid: 1, data: new Uint8Array(0) } as unknown as Msg), '');
});

test('reads both forms of the acknowledgement subject', () => {
  const want = { consumer: 'chat', attempt: 3, streamSequence: 17, consumerSequence: 9, storedAtMs: 1700000000123 };
  assert.deepEqual(parseAckSubject('$JS.ACK.S.chat.3.17.9.1700000000123456789.4'), want);
  assert.deepEqual(parseAckSubject('$JS.ACK.hub.acc.S.chat.3.17.9.1700000000123456789.4.rnd'), want);
  for (const bad of [undefined, '', 'x', '$JS.ACK.S.chat', '$JS.ACK.S.chat.x.17.9.1700000000123456789.4']) {
    assert.equal(parseAckSubject(bad), undefined);
  }
});
