import assert from 'node:assert/strict';
import test from 'node:test';
import {
  decodeAnswer,
  decodeBroadcast,
  decodeRequest,
  encodeAnswer,
  encodeBroadcast,
  encodeRequest,
  type OwnerRequest,
} from '../../../runtime/peers/codec.ts';

const connectionId = '0123456789ab-0123456789abcdef0123456789abcdef';
const data = Buffer.from([0, 1, 0xff, 0x7b]);

const requests: OwnerRequest[] = [
  { kind: 'send', connectionId, data, isBinary: true },
  { kind: 'send', connectionId, data: Buffer.alloc(0), isBinary: false },
  { kind: 'disconnect', connectionId, closeCode: 4999, reason: 'grüß dich' },
  { kind: 'disconnect', connectionId, closeCode: 1000, reason: '' },
  { kind: 'describe', connectionId },
  { kind: 'join', connectionId, channel: 'grüß dich' },
  { kind: 'leave', connectionId, channel: 'room-1' },
  { kind: 'send', connectionId, data: Buffer.from('grüß dich'), isBinary: false },
  { kind: 'reply', connectionId, data: Buffer.from('grüß dich'), isBinary: false },
  { kind: 'reply', connectionId, data, isBinary: true },
];

test('a request is decoded as it was encoded, at any offset in a buffer', () => {
  for (const request of requests) {
    const encoded = encodeRequest(request);
    const shifted = new Uint8Array(encoded.length + 7);
    shifted.set(encoded, 7);
    assert.deepEqual(decodeRequest(shifted.subarray(7)), request);
  }
});

test('a request adds at most 258 bytes to its data', () => {
  const [request] = requests;
  assert.ok(request?.kind === 'send');
  const longest = encodeRequest({ ...request, connectionId: 'x'.repeat(255) });
  assert.ok(longest.length - data.length <= 258);
});

test('answers and broadcasts are decoded as they were encoded', () => {
  for (const status of ['done', 'accepted', 'gone', 'full', 'tooLarge', 'invalid'] as const) {
    assert.deepEqual(decodeAnswer(encodeAnswer(status, '{"a":"ü"}')), { status, data: '{"a":"ü"}' });
  }
  for (const endpoints of [undefined, ['/chat'], ['/ä', '/b']]) {
    const broadcast = { endpoints, data, isBinary: true };
    assert.deepEqual(decodeBroadcast(encodeBroadcast(broadcast)), broadcast);
  }
});

test('recognises bytes of any other form', () => {
  const foreign = [
    [],
    [0],
    [1],
    [1, 200, 65],
    [3, 1, 65],
    [3, 1, 65, 9],
    [9, 1, 65],
    [1, 0, 0, 0, 9, 1],
    [1, 0, 0, 0, 2, 0x7b, 0x7d],
  ];
  for (const bytes of foreign) {
    assert.equal(decodeBroadcast(Uint8Array.from(bytes)), undefined, `${bytes}`);
    assert.equal(decodeAnswer(Uint8Array.from([200, ...bytes])).status, 'invalid');
  }
  for (const bytes of foreign.slice(0, 7)) assert.equal(decodeRequest(Uint8Array.from(bytes)), undefined, `${bytes}`);
});

const head = [connectionId.length, ...Buffer.from(connectionId)];
const endpoints = Buffer.from('["/a"]');
const refused: [title: string, bytes: number[]][] = [
  ['a close code that cannot be sent', [3, ...head, 0, 0]],
  ['a close code of the protocol', [3, ...head, 0x03, 0xea]],
  ['a reason that is not UTF-8', [3, ...head, 0x0f, 0xa0, 0xc3, 0x28]],
  ['a reason over 123 bytes', [3, ...head, 0x0f, 0xa0, ...Buffer.alloc(124, 0x61)]],
  ['text that is not UTF-8', [1, ...head, 0xc3, 0x28]],
  ['a reply that is not UTF-8', [5, ...head, 0xc3, 0x28]],
  ['an id that no gateway gives out', [2, 3, 0x61, 0x2e, 0x3e, 1]],
  ['bytes after a question', [4, ...head, 1]],
];

for (const [title, bytes] of refused) {
  test(`refuses a request with ${title}`, () => {
    assert.equal(decodeRequest(Uint8Array.from(bytes)), undefined);
  });
}

test('refuses a broadcast with text that is not UTF-8, or to what is no path', () => {
  const broadcast = (json: Buffer, ...rest: number[]): Uint8Array =>
    Uint8Array.from([1, 0, 0, 0, json.length, ...json, ...rest]);
  assert.ok(decodeBroadcast(broadcast(endpoints, 0x61)));
  assert.equal(decodeBroadcast(broadcast(endpoints, 0xc3, 0x28)), undefined);
  assert.equal(decodeBroadcast(broadcast(Buffer.from('["a"]'), 0x61)), undefined);
});
