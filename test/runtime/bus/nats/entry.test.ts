import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClientHeaders,
  decodeEntry,
  type EntryMember,
  encodeEntry,
  maxMembers,
  memberBytes,
} from '../../../../runtime/bus/nats/entry.ts';
import { type EntrySubject, laneOfConnection } from '../../../../runtime/bus/subjects.ts';

const connectionId = 'gw-1-abc';
const subject: EntrySubject = { lane: laneOfConnection(connectionId), endpoint: '/chat', connectionId: undefined };
const headers = new ClientHeaders();

function encoded(members: readonly EntryMember[]): Buffer {
  return encodeEntry(
    members,
    members.reduce((sum, member) => sum + memberBytes(member), 0),
  );
}

function member(fields: Partial<EntryMember> = {}): EntryMember {
  return { id: 'm-1', connectionId, payload: Buffer.from('hello'), ...fields };
}

function decoded(members: readonly EntryMember[], body: Uint8Array, of = subject): EntryMember[] | undefined {
  return decodeEntry(headers.entry('m-1', members.length, 'http://gateway:8081'), body, of);
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('the messages of an entry are read back as they were written', () => {
  const members = [
    member(),
    member({ id: 'm-2', payload: new Uint8Array(0) }),
    member({ id: 'x'.repeat(300), payload: Uint8Array.from({ length: 70_000 }, (_, i) => i) }),
  ];
  const found = decoded(members, encoded(members));
  assert.deepEqual(
    found?.map(({ id, connectionId: from, payload }) => ({ id, connectionId: from, payload: [...payload] })),
    members.map(({ id, payload }) => ({ id, connectionId, payload: [...payload] })),
  );
});

test('a payload does not keep the whole entry in memory', () => {
  const members = [member({ payload: Buffer.alloc(50_000) }), member({ payload: Buffer.alloc(10_000, 'x') })];
  const body = encoded(members);
  const [, last] = decoded(members, body) ?? [];
  assert.equal(last?.payload.buffer.byteLength, 10_000);
});

test('an entry of one connection has messages of no other', () => {
  const members = [member(), member({ connectionId: 'gw-1-other' })];
  assert.equal(decoded(members, encoded(members)), undefined);
  assert.equal(decoded([member()], encoded([member()]), { ...subject, connectionId: 'gw-1-x' }), undefined);
  assert.equal(decoded([member()], encoded([member()]), { ...subject, connectionId })?.length, 1);
});

test('an entry of another version, or with another number of messages, is not read', () => {
  const members = [member(), member()];
  const body = encoded(members);
  const block = headers.entry('m-1', 2, '');
  assert.equal(decodeEntry(block, body, subject)?.length, 2);
  for (const form of ['2 2', '1 1', '1 3', '1 0', '1 -1', '1 1.5', '1', '', '1 2e9', `1 ${maxMembers + 1}`]) {
    assert.equal(decodeEntry(block.replace('1 2', form), body, subject), undefined, form);
  }
  assert.equal(decodeEntry('NATS/1.0\r\n\r\n', body, subject), undefined);
});

test('no body is read beyond its end or makes the reader throw', () => {
  const random = randomOf(7);
  for (let round = 0; round < 3000; round++) {
    const members = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, i) =>
      member({ id: `m-${i}`, payload: Buffer.alloc(Math.floor(random() * 40), i) }),
    );
    const whole = encoded(members);
    assert.equal(decoded(members, whole.subarray(0, Math.floor(random() * whole.length))), undefined, 'shorter');
    assert.equal(decoded(members, Buffer.concat([whole, Buffer.alloc(1)])), undefined, 'longer');
    const broken = Buffer.from(whole);
    for (let i = 0; i < 3; i++) broken[Math.floor(random() * broken.length)] = Math.floor(random() * 256);
    // Inside of a larger buffer, whose other bytes must not become part of a message.
    const frame = Buffer.concat([Buffer.alloc(64, 0xee), broken, Buffer.alloc(64, 0xee)]);
    const found = decoded(members, frame.subarray(64, 64 + broken.length));
    const bytes = (found ?? []).reduce((sum, one) => sum + memberBytes(one), 0);
    assert.ok(found === undefined || bytes === broken.length);
  }
});
