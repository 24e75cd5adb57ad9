/** What a client can do to its own connection with frames: it gets one code and its reason, and nobody else notices. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import test from 'node:test';
import { type ErrorCode, errors } from '../../runtime/errors.ts';
import { createRandom } from '../fault/soak/random.ts';
import { connect } from '../kit/client.ts';
import { type RecordedRequest, startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { fuzzSeed } from '../kit/fuzz.ts';
import { startGateway, type TestGateway } from '../kit/gateway.ts';

const upgrade =
  'GET /chat HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

/** An upgraded connection whose frames a test writes itself. */
async function open(gateway: TestGateway): Promise<{ socket: Socket; received: () => Buffer }> {
  const socket = connectTcp(gateway.gateway.ports.client, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(upgrade);
  await eventually(() => Buffer.concat(chunks).includes('\r\n\r\n'));
  chunks.length = 0;
  return { socket, received: () => Buffer.concat(chunks) };
}

/** A masked frame with the mask 0. */
function frame(head: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  return Buffer.concat([Buffer.from([head, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

const breaches: [title: string, bytes: Buffer, code: ErrorCode][] = [
  ['an unknown opcode', frame(0x83), 'HYD_PROTOCOL_ERROR'],
  ['a frame without a mask', Buffer.from([0x81, 1, 0x61]), 'HYD_PROTOCOL_ERROR'],
  ['a length over 2^53', Buffer.from([0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 'HYD_MESSAGE_TOO_LARGE'],
  ['a length over the limit', Buffer.from([0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), 'HYD_MESSAGE_TOO_LARGE'],
  ['text that is not UTF-8', frame(0x81, Buffer.from([0xc3, 0x28])), 'HYD_INVALID_UTF8'],
  ['a compressed frame', frame(0xc1, Buffer.from('x')), 'HYD_PROTOCOL_ERROR'],
  [
    'a message in very many fragments',
    Buffer.concat([frame(0x01), ...Array.from({ length: 1_025 }, () => frame(0x00, Buffer.from('x')))]),
    'HYD_TOO_MANY_FRAGMENTS',
  ],
];

for (const [title, bytes, code] of breaches) {
  test(`closes after ${title} with one code and reason, for the client, the hook and the log`, async () => {
    const hooks: RecordedRequest[] = [];
    await using hook = await startDestination((request) => void hooks.push(request));
    await using gateway = await startGateway({ spec: { hooks: { disconnect: { url: hook.url } } } });
    const { socket, received } = await open(gateway);
    socket.write(bytes);
    await once(socket, 'close');
    const { close = 0, message }: { close?: number; message: string } = errors[code];
    const wire = received();
    assert.deepEqual([wire[0], wire.readUInt16BE(2), wire.toString('utf8', 4)], [0x88, close, message]);
    await eventually(() => hooks.length === 1);
    const body = hooks[0]?.json();
    assert.deepEqual([body?.code, body?.reason], [close, message]);
    const line = gateway.lines.find(({ msg }) => msg === 'connection closed');
    assert.deepEqual([line?.closeCode, line?.code, line?.reason], [close, code, message]);
  });
}

test('takes a client that offers compression without it', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'), { perMessageDeflate: { threshold: 0 } });
  assert.equal(client.socket.extensions, '');
  client.send('x'.repeat(100_000));
  await eventually(() => gateway.messages.length === 1);
});

test('answers the newest of ten thousand pings in one burst, and keeps the connection', async () => {
  await using gateway = await startGateway();
  const { socket, received } = await open(gateway);
  const pings = Array.from({ length: 10_000 }, (_, index) => frame(0x89, Buffer.from(`${index}`)));
  socket.write(Buffer.concat(pings));
  await eventually(() => received().includes('9999'));
  socket.write(frame(0x81, Buffer.from('still here')));
  await eventually(() => gateway.messages.length === 1);
  socket.destroy();
});

test('random bytes after the handshake end nothing but their connections', async () => {
  const random = createRandom(fuzzSeed);
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  for (let round = 0; round < 100; round++) {
    const { socket } = await open(gateway);
    socket.end(Buffer.from(Array.from({ length: random.between(1, 64) }, () => random.between(0, 255))));
    await once(socket, 'close');
  }
  client.send('still here');
  await eventually(() => gateway.messages.some(({ body }) => body.message === 'still here'));
});

test('closes a client that does not finish its message in time, whatever it sends in between, with 1008', async () => {
  await using gateway = await startGateway({ spec: { limits: { messageTimeoutSeconds: 1 } } });
  await using honest = await connect(gateway.url('/chat'));
  const { socket, received } = await open(gateway);
  socket.write(frame(0x01, Buffer.from('x')));
  const trickle = setInterval(() => {
    socket.write(frame(0x89, Buffer.from('ping')));
    socket.write(frame(0x00, Buffer.from('x')));
  }, 100);
  await once(socket, 'close');
  clearInterval(trickle);
  const close = received().indexOf(Buffer.from([0x88, 2 + errors.HYD_MESSAGE_TIMEOUT.message.length, 0x03, 0xf0]));
  assert.ok(close >= 0);
  honest.send('still here');
  await eventually(() => gateway.messages.length === 1);
});
