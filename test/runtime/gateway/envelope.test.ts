import assert from 'node:assert/strict';
import test from 'node:test';
import { createEnvelopeWriter, envelopePrefix } from '../../../runtime/gateway/envelope.ts';

const context = { name: '"}],"message":"forged"', nested: { a: [1, null, 'ü'] } };
const facts = {
  instanceId: 'i',
  groupId: 'default_chat',
  connectionId: 'i-1',
  endpoint: '/chat',
  user: '"bob","x":',
  context: JSON.stringify(context),
};

const texts = ['', 'hello', '"},"context":{}', '\u0000\u2028\\', 'ü🙂', '{"message":"x"}', ' '.repeat(10_000)];

test('is valid JSON with the message unchanged, whatever the message and the context contain', () => {
  const write = createEnvelopeWriter();
  const prefix = envelopePrefix(facts);
  for (const text of texts) {
    const body = JSON.parse(write(prefix, Buffer.from(text), false, 0, 'http://c/"').toString());
    assert.deepEqual(body, {
      instance_id: 'i',
      group_id: 'default_chat',
      connection_id: 'i-1',
      endpoint: '/chat',
      user: '"bob","x":',
      callback: 'http://c/"',
      context: { authorizer: context },
      time: '1970-01-01T00:00:00.000Z',
      message: text,
      message_encoding: 'text',
    });
  }
});

test('stamps each message with its own time', () => {
  const write = createEnvelopeWriter();
  const timeOf = (timeMs: number): string =>
    JSON.parse(write(envelopePrefix(facts), Buffer.from([1]), true, timeMs, '').toString()).time;
  assert.deepEqual(
    [timeOf(1), timeOf(1), timeOf(2_000), timeOf(1)],
    ['1970-01-01T00:00:00.001Z', '1970-01-01T00:00:00.001Z', '1970-01-01T00:00:02.000Z', '1970-01-01T00:00:00.001Z'],
  );
});

test('names the callback URL in force when the message was read, and no user and no URL where there is none', () => {
  const write = createEnvelopeWriter();
  const prefix = envelopePrefix({ ...facts, user: undefined });
  const bodyWith = (url: string): Record<string, unknown> =>
    JSON.parse(write(prefix, Buffer.from('x'), false, 5, url).toString());
  assert.deepEqual([bodyWith('http://a').callback, bodyWith('http://b').callback], ['http://a', 'http://b']);
  assert.deepEqual(
    ['callback', 'user'].filter((name) => name in bodyWith('')),
    [],
  );
});
