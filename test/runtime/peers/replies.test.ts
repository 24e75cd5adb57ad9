import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeReplies, decodeRequest, encodeRequest, encodeStatuses } from '../../../runtime/peers/codec.ts';
import { Replies } from '../../../runtime/peers/replies.ts';
import type { PushOutcome } from '../../../runtime/push-status.ts';

const instanceId = '0123456789ab';

function reply(text: string): Uint8Array {
  const connectionId = `${instanceId}-0123456789abcdef0123456789abcdef`;
  return encodeRequest({ kind: 'reply', connectionId, data: Buffer.from(text), isBinary: false });
}

function textsOf(payload: Uint8Array): string[] {
  const single = decodeRequest(payload);
  const requests = single === undefined ? (decodeReplies(payload) ?? []) : [single];
  return requests.map((request) => ('data' in request ? String(request.data) : request.kind));
}

/** A gateway that answers with `answer`, and the texts that it got in each request. */
function gateway(answer: (payload: Uint8Array) => PushOutcome) {
  const requests: string[][] = [];
  const replies = new Replies(async (_, payload) => {
    requests.push(textsOf(payload));
    return answer(payload);
  });
  return { replies, requests };
}

test('replies of one turn travel together, and each gets its own outcome', async () => {
  const { replies, requests } = gateway((payload) =>
    payload[0] === 7
      ? { status: 'done', data: encodeStatuses(['done', 'gone', 'full']) }
      : { status: 'done', data: '' },
  );
  const outcomes = await Promise.all(['a', 'b', 'c'].map((text) => replies.send(instanceId, reply(text))));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['done', 'gone', 'full'],
  );
  assert.equal((await replies.send(instanceId, reply('d'))).status, 'done');
  assert.deepEqual(requests, [['a', 'b', 'c'], ['d']]);
});

test('replies to different gateways do not travel together', async () => {
  const { replies, requests } = gateway(() => ({ status: 'done', data: '' }));
  await Promise.all([replies.send(instanceId, reply('a')), replies.send('ba9876543210', reply('b'))]);
  assert.deepEqual(requests, [['a'], ['b']]);
});

test('a gateway that does not know the form gets each reply once, now and later', async () => {
  const { replies, requests } = gateway((payload) => ({ status: payload[0] === 7 ? 'invalid' : 'done', data: '' }));
  const first = await Promise.all(['a', 'b'].map((text) => replies.send(instanceId, reply(text))));
  const second = await Promise.all(['c', 'd'].map((text) => replies.send(instanceId, reply(text))));
  assert.ok([...first, ...second].every(({ status }) => status === 'done'));
  assert.deepEqual(requests, [['a', 'b'], ['a'], ['b'], ['c'], ['d']]);
});

for (const status of ['timeout', 'gone', 'cutOff', 'down'] as const) {
  test(`${status} is the outcome of every reply of the request`, async () => {
    const { replies } = gateway(() => ({ status, data: '' }));
    const outcomes = await Promise.all(['a', 'b'].map((text) => replies.send(instanceId, reply(text))));
    assert.deepEqual(outcomes, [
      { status, data: '' },
      { status, data: '' },
    ]);
  });
}

test('a request stays small, and a long reply travels alone, in its place', async () => {
  const { replies, requests } = gateway((payload) => ({
    status: 'done',
    data: encodeStatuses(textsOf(payload).map(() => 'done')),
  }));
  const texts = Array.from({ length: 600 }, (_, i) => `${i}`);
  const long = ['x'.repeat(40_000), 'y'.repeat(40_000), 'z'.repeat(70_000)];
  const all = [...texts, ...long, 'last'];
  const outcomes = await Promise.all(all.map((text) => replies.send(instanceId, reply(text))));
  assert.ok(outcomes.every(({ status }) => status === 'done'));
  assert.deepEqual(requests.flat(), all);
  assert.ok(requests.every((request) => request.length <= 256 && request.join('').length < 70_001));
  assert.ok(requests.length < 10);
});
