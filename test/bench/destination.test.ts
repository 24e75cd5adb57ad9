/** The destination of the comparison answers each system in the form that it expects. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { EchoDestination, type SeenTexts } from '../../bench/destination/answers.ts';
import { listenCheaply } from '../../bench/destination/http-server.ts';
import { PostConnection } from '../../bench/load/post.ts';
import { freePorts } from '../kit/ports.ts';

const [port = 0] = await freePorts(1);
const destination = new EchoDestination();
const server = listenCheaply(port, (request) => destination.answer(request));
const url = `http://127.0.0.1:${port}`;
test.after(() => server.close());

async function post(path: string, body: string): Promise<string> {
  return (await fetch(url + path, { method: 'POST', body })).text();
}

test('a text comes back in the form of each system', async () => {
  const delivery = JSON.stringify({ connection_id: 'one', message: 'hello' });
  assert.equal(await post('/hydrogen', delivery), 'hello');
  assert.equal(await post('/centrifugo', '{"data":"hello"}'), '{"result":{"data":"hello"}}');
  assert.equal(
    await post('/pushpin', 'OPEN\r\nTEXT 5\r\nhello\r\nTEXT a\r\n0123456789\r\n'),
    'OPEN\r\nTEXT 5\r\nhello\r\nTEXT a\r\n0123456789\r\n',
  );
  assert.equal(await post('/hydrogen', JSON.stringify({ connection_id: 'one', message: 'id?' })), 'one');
});

test('a path that no system has is a failure that names it', async () => {
  const answer = await fetch(`${url}/unknown`, { method: 'POST', body: '' });
  assert.equal(answer.status, 500);
  assert.match(await answer.text(), /no \/unknown/);
});

test('a body without a length is refused', async () => {
  const body = ReadableStream.from(['{', '}']);
  const answer = await fetch(`${url}/hydrogen`, { method: 'POST', body, duplex: 'half' } as RequestInit);
  assert.equal(answer.status, 411);
});

test('texts are counted once each, from a reset on', async () => {
  await fetch(`${url}/seen/reset`);
  using connection = new PostConnection({ host: '127.0.0.1', port });
  for (const message of ['a', 'b', 'a']) {
    const answer = await connection.post('/hydrogen', {}, JSON.stringify({ connection_id: 'one', message }));
    assert.deepEqual(answer, { status: 200, body: message });
  }
  const { different, repeated } = (await (await fetch(`${url}/seen`)).json()) as SeenTexts;
  assert.deepEqual({ different, repeated }, { different: 2, repeated: 1 });
});
