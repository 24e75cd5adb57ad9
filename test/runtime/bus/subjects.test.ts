import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSubjects, decodeEndpoint, encodeEndpoint, partitionOf } from '../../../runtime/bus/subjects.ts';

const subjects = createSubjects('shop_chat');

test('a client message goes to the subject of its partition, endpoint and connection', () => {
  assert.equal(
    subjects.clientMessage('/chat', 'gw-1-abc'),
    `hydrogen.shop_chat.c2s.${partitionOf('gw-1-abc')}.=2Fchat.gw-1-abc`,
  );
  assert.equal(subjects.instance('gw-1'), 'hydrogen.shop_chat.instance.gw-1');
  assert.equal(subjects.deadLetters('chat'), 'hydrogen.shop_chat.dlq.chat');
});

test('the partition of a connection never changes', () => {
  assert.deepEqual(['gw-1-abc', 'a', ''].map(partitionOf), [partitionOf('gw-1-abc'), 0x2c, 0xc5]);
});

test('connections spread over all partitions', () => {
  const used = new Set(Array.from({ length: 5000 }, (_, i) => partitionOf(`gw-1-${i.toString(36)}`)));
  assert.equal(used.size, 256);
});

test('parses a subject back into its fields', () => {
  for (const endpoint of ['/', '/chat', '/a.b*c> d', '/räume/ü=', '/%2F']) {
    const { partition: _, ...said } = subjects.parseClientMessage(subjects.clientMessage(endpoint, 'gw-1')) ?? {};
    assert.deepEqual(said, { endpoint, connectionId: 'gw-1' });
  }
});

test('a message in a waiting room has the subject of its room, and parses back', () => {
  for (const room of ['orders', 'https://räume.test:8443', 'a.*.>', '-']) {
    const subject = subjects.waitingMessage('chat', room, '/a.b c', 'gw-1');
    assert.ok(subject.startsWith(subjects.waitingRoom('chat', room).slice(0, -1)));
    assert.ok(subject.startsWith(subjects.waitingRooms('chat').slice(0, -1)));
    assert.equal(subject.split('.').length, 8);
    const { partition: _, ...said } = subjects.parseWaitingMessage(subject) ?? {};
    assert.deepEqual(said, { processor: 'chat', room, endpoint: '/a.b c', connectionId: 'gw-1' });
    assert.equal(subjects.parseClientMessage(subject), undefined);
    for (const bad of ['', `${subject}.x`, subject.replace('.wait.', '.c2s.'), subject.replace('chat.', 'chat..')]) {
      assert.equal(subjects.parseWaitingMessage(bad), undefined, bad);
    }
  }
  for (const bad of ['', 'x'.repeat(301)]) {
    assert.throws(() => subjects.waitingRoom('chat', bad), { code: 'HYD_CONFIG_INVALID' });
  }
});

test('does not parse a subject that is not of a client message of the group', () => {
  const good = subjects.clientMessage('/chat', 'gw-1');
  const wrongPartition = good.replace(/c2s\.\d+/, `c2s.${(partitionOf('gw-1') + 1) % 256}`);
  for (const bad of [
    '',
    'hydrogen.other.c2s.1.=2Fchat.gw-1',
    `${good}.x`,
    wrongPartition,
    good.replace('=2F', '=2f'),
  ]) {
    assert.equal(subjects.parseClientMessage(bad), undefined, bad);
  }
});

test('refuses names that would be more than one token', () => {
  for (const bad of ['', 'a.b', '*', '>', 'a b', 'a\n', 'ä']) {
    assert.throws(() => createSubjects(bad), { code: 'HYD_CONFIG_INVALID' });
    assert.throws(() => subjects.deadLetters(bad), { code: 'HYD_CONFIG_INVALID' });
    assert.throws(() => subjects.instance(bad), { code: 'HYD_CONNECTION_ID_INVALID' });
    assert.throws(() => subjects.clientMessage('/chat', bad), { code: 'HYD_CONNECTION_ID_INVALID' });
  }
  assert.throws(() => encodeEndpoint(''), { code: 'HYD_CONFIG_INVALID' });
  assert.match(encodeEndpoint('/a.*> \u0000ü'), /^[A-Za-z0-9_=-]+$/);
  assert.equal(decodeEndpoint('=41'), undefined);
});

test('lanes cover every partition once', () => {
  const filters = Array.from({ length: 64 }, (_, lane) => subjects.filters(['/chat', '/chat'], lane, 64)).flat();
  assert.equal(filters.length, 256);
  assert.equal(new Set(filters).size, 256);
  assert.deepEqual(subjects.filters(undefined, 0, 1), ['hydrogen.shop_chat.c2s.*.*.*']);
  assert.deepEqual(subjects.filters(['/chat'], 0, 1), ['hydrogen.shop_chat.c2s.*.=2Fchat.*']);
});

test('an entry has the subject of its lane, and parses back', () => {
  const lane = subjects.laneOf('/chat', 'gw-1-abc');
  assert.equal(lane, partitionOf('gw-1-abc') % 16);
  for (const [connectionId, who] of [
    [undefined, '_'],
    ['gw-1-abc', 'gw-1-abc'],
  ] as const) {
    const subject = subjects.entry('/chat', lane, connectionId);
    assert.equal(subject, `hydrogen.shop_chat.c2s.e.${lane}.=2Fchat.${who}`);
    assert.deepEqual(subjects.parseEntry(subject), { lane, endpoint: '/chat', connectionId });
    assert.equal(subjects.parseClientMessage(subject), undefined);
    for (const bad of [
      `${subject}.x`,
      subject.replace('.e.', '.f.'),
      subject.replace(/e\.\d+/, 'e.16'),
      `x${subject}`,
    ]) {
      assert.equal(subjects.parseEntry(bad), undefined, bad);
    }
  }
  const other = subjects.entry('/chat', (lane + 1) % 16, 'gw-1-abc');
  assert.equal(subjects.parseEntry(other), undefined);
  assert.equal(subjects.parseEntry(subjects.clientMessage('/chat', 'gw-1-abc')), undefined);
  assert.throws(() => subjects.laneOf('/chat', 'a.b'), { code: 'HYD_CONNECTION_ID_INVALID' });
  assert.throws(() => subjects.laneOf('', 'gw-1'), { code: 'HYD_CONFIG_INVALID' });
});

test('the endpoints of filters of entries are read back from them', () => {
  assert.deepEqual(subjects.entryFilters(undefined), ['hydrogen.shop_chat.c2s.e.*.*.*']);
  const filters = subjects.entryFilters(['/chat', '/a b', '/chat']);
  assert.deepEqual(filters.map(subjects.parseEntryFilter), [
    { lane: undefined, endpoint: '/chat' },
    { lane: undefined, endpoint: '/a b' },
  ]);
  assert.equal(subjects.parseEntryFilter('hydrogen.shop_chat.c2s.*.=2Fchat.*'), undefined);
});
