/**
 * Handshakes, frames and management requests that a seed decides, over real sockets: each is answered or refused, none is an
 * internal failure, and the gateway goes on to serve who behaves.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import test, { type TestContext } from 'node:test';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { fuzzAsync, fuzzSeed } from '../kit/fuzz.ts';
import { startGateway, type TestGateway } from '../kit/gateway.ts';

/** Of the rounds: each takes a connection. */
const share = 0.04;
const connectionId = '0123456789ab-0123456789abcdef0123456789abcdef';

function upgrade(target: string, lines = ''): string {
  const fixed = 'Host: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';
  return `GET ${target} HTTP/1.1\r\n${fixed}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${lines}\r\n`;
}

function call(line: string, body: string, lines = ''): string {
  return `${line} HTTP/1.1\r\nHost: m\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`;
}

/** Writes the bytes, says that these were all, and resolves with what comes back until the end. */
async function exchange(port: number, bytes: Uint8Array): Promise<string> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  let answer = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.end(bytes);
  await once(socket, 'end').catch(() => {});
  socket.destroy();
  return answer;
}

/** Sends every input, and prints how they were answered. */
async function attack(context: TestContext, port: number, samples: readonly (string | Uint8Array)[]): Promise<void> {
  const answers = new Map<string, number>();
  await fuzzAsync(
    samples.map((sample) => Buffer.from(sample)),
    async (input) => {
      const answer = await exchange(port, input);
      const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 'closed';
      answers.set(status, (answers.get(status) ?? 0) + 1);
      assert.doesNotMatch(answer, /HTTP\/1\.1 500|HYD_INTERNAL|Error:|node_modules/);
    },
    share,
  );
  const counts = [...answers].sort().map(([status, count]) => `${status}: ${count}`);
  context.diagnostic(`FUZZ_SEED=${fuzzSeed}: ${counts.join(', ')}`);
  assert.ok(answers.size > 2, 'the samples prove little');
}

async function assertServes(gateway: TestGateway): Promise<void> {
  const errors = gateway.lines.filter(({ level }) => level === 'error' || level === 'fatal');
  assert.deepEqual(errors, []);
  await using client = await connect(gateway.url('/chat'));
  client.send('still here');
  await eventually(() => gateway.messages.some(({ body }) => body.message === 'still here'));
}

test('handshakes', async (context) => {
  await using gateway = await startGateway({ spec: { subprotocols: ['v1'], trustedProxies: ['127.0.0.0/8'] } });
  await attack(context, gateway.gateway.ports.client, [
    upgrade('/chat?a=b&c=%C3%BC'),
    upgrade('http://g/chat', 'X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n'),
    upgrade('/chat', 'Sec-WebSocket-Protocol: v0, v1\r\nOrigin: https://a.example.com\r\n'),
    upgrade('/feed', 'Forwarded: for="[2001:db8::1]:80";proto=https, for=192.0.2.1\r\n'),
    upgrade('/chat', 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nCookie: a=b\r\n'),
    'GET / HTTP/1.0\r\n\r\n',
  ]);
  await assertServes(gateway);
});

test('frames after a handshake', async (context) => {
  await using gateway = await startGateway({ spec: { limits: { maxMessageBytes: 64 } } });
  const head = Buffer.from(upgrade('/chat'));
  const frame = (first: number, data: string, mask = [1, 2, 3, 4]): Buffer => {
    const masked = Buffer.from(data).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
    return Buffer.concat([Buffer.from([first, 0x80 | masked.length, ...mask]), masked]);
  };
  const long = Buffer.from([0x82, 0xfe, 0, 65, 0, 0, 0, 0]);
  const frames = [
    [frame(0x81, 'grüß dich'), frame(0x88, '\x03\xe8bye')],
    [frame(0x01, 'in '), frame(0x89, 'ping'), frame(0x80, 'parts')],
    [frame(0x82, '\x00\x01'), frame(0x8a, ''), frame(0xc1, 'x')],
    [long, Buffer.alloc(65)],
  ];
  // The handshake stays as it is: only what follows is changed.
  const port = gateway.gateway.ports.client;
  let closes = 0;
  await fuzzAsync(
    frames.map((parts) => Buffer.concat(parts)),
    async (input) => {
      const answer = await exchange(port, Buffer.concat([head, input]));
      assert.match(answer, /^HTTP\/1\.1 101 /);
      if (answer.slice(answer.indexOf('\r\n\r\n') + 4).includes('\x88')) closes += 1;
    },
    share,
  );
  context.diagnostic(`FUZZ_SEED=${fuzzSeed}: ${closes} close frames`);
  assert.ok(closes > 10, `${closes} close frames: the samples prove little`);
  await assertServes(gateway);
});

test('management requests', async (context) => {
  await using gateway = await startGateway();
  await attack(context, gateway.gateway.ports.management, [
    call(`POST /connections/${connectionId}/_send`, 'hello', 'Content-Type: text/plain; charset=utf-8\r\n'),
    call(`POST /connections/${connectionId}/_send`, '\x00\x01', 'Content-Type: application/octet-stream\r\n'),
    call(`POST /connections/${connectionId}/_disconnect?code=4001`, 'bye', 'Authorization: Bearer abc\r\n'),
    call('POST /connections/_broadcast?endpoints[]=/chat&endpoints=/feed', 'all', 'Content-Encoding: identity\r\n'),
    call(`GET /connections/${connectionId}`, ''),
    call('GET /health', '', 'Transfer-Encoding: chunked\r\n'),
  ]);
  await assertServes(gateway);
});
