import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import test from 'node:test';
import { type Server, type ServerOptions, WebSocketServer } from 'ws';
import { ClientSocket } from '../../../runtime/socket/client-socket.ts';
import { type Client, connect } from '../../kit/client.ts';
import { eventually, holds } from '../../kit/eventually.ts';

interface Pair extends AsyncDisposable {
  readonly client: Client;
  readonly accepted: ClientSocket;
  readonly transport: Duplex;
  /** What was asked of the connection, and the errors of its socket. */
  readonly events: string[];
}

/** What ws does by itself, without a connection of ours. */
async function pair(): Promise<Pair> {
  const options: ServerOptions<typeof ClientSocket> = { WebSocket: ClientSocket, noServer: true, maxPayload: 100 };
  const acceptor: Server<typeof ClientSocket> = new WebSocketServer(options);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connecting = connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [request, transport, head] = (await once(server, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
  const { promise, resolve } = Promise.withResolvers<ClientSocket>();
  acceptor.handleUpgrade(request, transport, head, resolve);
  const accepted = await promise;
  const events: string[] = [];
  accepted.attach(transport, (code, reason) => events.push(`asked ${code} ${reason}`));
  accepted.on('error', () => events.push('error'));
  const client = await connecting;
  return {
    client,
    accepted,
    transport,
    events,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      server.close();
    },
  };
}

test("leaves the answer to a client's close frame to the connection", async () => {
  await using ends = await pair();
  ends.client.socket.close(3000, 'bye');
  await eventually(() => ends.events.length === 1);
  await holds(() => ends.client.socket.readyState === ends.client.socket.CLOSING, 200);
  assert.deepEqual(ends.events, ['asked 3000 bye']);
  ends.accepted.finish(1013, 'unsaved');
  assert.deepEqual(await ends.client.closed, { code: 1013, reason: 'unsaved' });
});

test('asks for a close frame after a protocol error, and reports the error first', async () => {
  await using ends = await pair();
  ends.client.send('x'.repeat(101));
  await eventually(() => ends.events.length === 2);
  assert.deepEqual(ends.events, ['error', 'asked 1009 ']);
  ends.accepted.finish(1009);
  assert.equal((await ends.client.closed).code, 1009);
});

test('parses what was read while it was paused, and stays paused', async () => {
  await using ends = await pair();
  const texts: string[] = [];
  ends.accepted.on('message', (data) => texts.push(String(data)));
  ends.accepted.pause();
  ends.client.send('one');
  ends.client.send('two');
  await eventually(() => ends.transport.readableLength >= 18);
  assert.deepEqual(texts, []);
  ends.accepted.parseRead();
  assert.deepEqual(texts, ['one', 'two']);
  ends.client.send('three');
  await holds(() => texts.length === 2, 200);
  ends.accepted.resume();
  await eventually(() => texts.length === 3);
});

interface ReceiverParts {
  readonly _buffers: unknown[];
  readonly _fragments: unknown[];
  readonly _mask: unknown;
}

function receiverOf({ accepted }: Pair): ReceiverParts {
  return (accepted as unknown as { _receiver: ReceiverParts })._receiver;
}

/** The client's end of the TCP connection. */
function rawSocketOf({ client }: Pair): Socket {
  return (client.socket as unknown as { _socket: Socket })._socket;
}

test('forgets an unfinished message in fragments', async () => {
  await using ends = await pair();
  const receiver = receiverOf(ends);
  ends.client.socket.send('unfinished', { fin: false });
  await eventually(() => receiver._fragments.length === 1);
  ends.accepted.terminate();
  ends.accepted.forgetUnfinished();
  assert.deepEqual([receiver._buffers.length, receiver._fragments.length], [0, 0]);
});

test('forgets an unfinished frame with all that it was read into, and takes no more of it', async () => {
  await using ends = await pair();
  const receiver = receiverOf(ends);
  const messages: unknown[] = [];
  ends.accepted.on('message', (data) => messages.push(data));
  // A masked frame of 90 bytes, with 60 of them; the others are read and not parsed.
  rawSocketOf(ends).write(Buffer.concat([Buffer.from([0x82, 0x80 | 90, 1, 2, 3, 4]), Buffer.alloc(60)]));
  await eventually(() => receiver._buffers.length === 1);
  ends.accepted.pause();
  rawSocketOf(ends).write(Buffer.alloc(30));
  await eventually(() => ends.transport.readableLength === 30);
  ends.accepted.terminate();
  ends.accepted.forgetUnfinished();
  assert.deepEqual([receiver._buffers.length, receiver._mask], [0, undefined]);
  await once(ends.accepted, 'close');
  assert.deepEqual(messages, []);
});
