/** The clients of the comparison speak RFC 6455 with a server that is not ours, and accept no wrong answer. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { closeClients, LoadClient, openClients } from '../../bench/load/client.ts';
import { Conversation } from '../../bench/load/conversation.ts';
import { centrifugoDialect, plain } from '../../bench/load/dialect.ts';
import { FrameReader } from '../../bench/load/frames.ts';
import { eventually } from '../kit/eventually.ts';

interface TestServer extends AsyncDisposable {
  readonly target: { readonly url: string; readonly dialect: typeof plain };
}

async function serve(onConnection: (socket: WebSocket) => void): Promise<TestServer> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', onConnection);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    target: { url: `ws://127.0.0.1:${port}/echo`, dialect: plain },
    [Symbol.asyncDispose]: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

const echo = (socket: WebSocket): void => void socket.on('message', (data) => socket.send(data.toString()));

/** Resolves when the client gives up. */
function brokenBy(client: LoadClient): Promise<Error> {
  return new Promise((resolve) => {
    client.onBroken = resolve;
  });
}

test('texts of every form of length come back as they were sent', async () => {
  await using server = await serve(echo);
  const client = await LoadClient.open(server.target, 0);
  for (const length of [1, 125, 126, 4_096, 65_535]) {
    const answer = new Promise<string>((resolve) => {
      client.onText = resolve;
    });
    client.send('y'.repeat(length));
    assert.equal(await answer, 'y'.repeat(length));
  }
  assert.equal(await client.close(), 1000);
});

test('a ping is answered', async () => {
  const pong = Promise.withResolvers<string>();
  await using server = await serve((socket) => {
    socket.on('pong', (data) => pong.resolve(data.toString()));
    socket.ping('are you there');
  });
  const client = await LoadClient.open(server.target, 0);
  assert.equal(await pong.promise, 'are you there');
  await client.close();
});

test('a connection that the server closes is reported with the code', async () => {
  await using server = await serve((socket) => void socket.on('message', () => socket.close(1013)));
  const client = await LoadClient.open(server.target, 7);
  const broken = brokenBy(client);
  client.send('hello');
  assert.match((await broken).message, /connection 7 was closed with 1013/);
});

test('an upgrade that is refused is an error with the answer', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', verifyClient: () => false });
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await assert.rejects(openClients({ url, dialect: plain }, 3), /answered with: HTTP\/1.1 401/);
  server.close();
});

test('frames are found wherever the bytes are cut', () => {
  const frames = [Buffer.from([0x81, 2, 0x68, 0x69]), Buffer.from([0x89, 0]), Buffer.from([0x81, 126, 0, 126])];
  const bytes = Buffer.concat([...frames, Buffer.alloc(126, 'z')]);
  const found: string[] = [];
  const reader = new FrameReader((opcode, payload) => found.push(`${opcode} ${payload.length}`));
  for (const byte of bytes) reader.read(Buffer.from([byte]));
  assert.deepEqual(found, ['1 2', '9 0', '1 126']);
});

test('an answer with another text breaks the conversation', async () => {
  await using server = await serve((socket) => {
    socket.on('message', (data) => socket.send(data.toString().replace('x', 'y')));
  });
  const client = await LoadClient.open(server.target, 3);
  const broken = brokenBy(client);
  new Conversation(client, { bytes: 32, onAnswer: () => assert.fail('it was accepted') }).send();
  assert.match((await broken).message, /client 3 of 1 messages got "3\.1\.y/);
  await client.close();
});

test('answers out of order break an ordered conversation only', async () => {
  const held: string[] = [];
  await using server = await serve((socket) => {
    socket.on('message', (data) => {
      held.push(data.toString());
      if (held.length % 2 === 0) for (const text of held.splice(0).reverse()) socket.send(text);
    });
  });
  const [free, strict] = await openClients(server.target, 2);
  assert.ok(free !== undefined && strict !== undefined);
  let answers = 0;
  const onAnswer = (): void => {
    answers += 1;
  };
  const unordered = new Conversation(free, { bytes: 32, onAnswer });
  for (let count = 0; count < 2; count += 1) unordered.send();
  await eventually(() => answers === 2 && unordered.isAnswered);
  const broken = brokenBy(strict);
  const ordered = new Conversation(strict, { bytes: 32, isOrdered: true, onAnswer });
  for (let count = 0; count < 2; count += 1) ordered.send();
  assert.match((await broken).message, /got answer 2 after 0/);
  await closeClients([free, strict]);
});

test('an answer that comes twice counts once, and as repeated', async () => {
  await using server = await serve((socket) => {
    socket.on('message', (data) => {
      for (let count = 0; count < 2; count += 1) socket.send(data.toString());
    });
  });
  const client = await LoadClient.open(server.target, 0);
  let answers = 0;
  const conversation = new Conversation(client, {
    bytes: 32,
    onAnswer: () => {
      answers += 1;
    },
  });
  conversation.send();
  await eventually(() => conversation.repeated === 1);
  assert.equal(answers, 1);
  await client.close();
});

test('several replies of Centrifugo in one frame are several texts, and an error is one', () => {
  const dialect = centrifugoDialect(() => ({}));
  const frame = '{"id":2,"rpc":{"data":"a"}}\n{"push":{"channel":"all","pub":{"data":"b"}}}';
  assert.deepEqual(dialect.texts(frame), ['a', 'b']);
  assert.deepEqual(dialect.texts('{}'), []);
  assert.equal(dialect.response?.('{}'), '{}');
  assert.throws(() => dialect.texts('{"id":2,"error":{"code":100}}'), /code/);
});
