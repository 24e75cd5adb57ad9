/** Which of a host's addresses a connection is opened to. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { platform } from 'node:os';
import { test } from 'node:test';
import { createConnector } from '../../../../runtime/http/client/dial.ts';
import { eventually } from '../../../kit/eventually.ts';

const unusable = { address: '::1', family: 6 };
const options = { skip: platform() !== 'linux' && 'only Linux drops the SYN of a connection over the backlog' };

function dial(port: number, addresses: { address: string; family: number }[], timeoutMs: number): Promise<Socket> {
  const connector = createConnector(timeoutMs, (_host, onResult) => onResult(null, addresses));
  return new Promise((resolve, reject) => {
    const target = { hostname: 'service.test', host: `service.test:${port}`, protocol: 'http:', port: `${port}` };
    connector(target, (error, socket) => (error === null ? resolve(socket) : reject(error)));
  });
}

/** A server whose accept queue is full while it is stopped, so that connecting takes until it goes on. */
async function startSlow(): Promise<{ port: number; process: ChildProcess; fillers: Socket[] }> {
  const script = `const s = require('net').createServer((c) => c.on('error', () => {}));
    s.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(s.address().port));`;
  const process = spawn(globalThis.process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(process.stdout, 'data');
  const port = Number(String(line));
  process.kill('SIGSTOP');
  const fillers: Socket[] = [];
  for (let index = 0; index < 2; index++) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => {});
    fillers.push(filler);
    await once(filler, 'connect');
  }
  return { port, process, fillers };
}

for (const [title, order] of [
  ['before', [unusable, { address: '127.0.0.1', family: 4 }]],
  ['behind', [{ address: '127.0.0.1', family: 4 }, unusable]],
] as const) {
  test(`waits for a slow address ${title} one that cannot be used`, options, async () => {
    const { port, process, fillers } = await startSlow();
    try {
      const connected = dial(port, [...order], 10_000);
      // Longer than the time after which the next address is tried: this one must not be dropped then.
      const state = await Promise.race([
        connected.then(() => 'early'),
        new Promise((go) => setTimeout(go, 600, 'slow')),
      ]);
      assert.equal(state, 'slow');
      process.kill('SIGCONT');
      const socket = await connected;
      assert.equal(socket.remoteAddress, '127.0.0.1');
      socket.destroy();
    } finally {
      process.kill('SIGCONT');
      process.kill();
      for (const filler of fillers) filler.destroy();
    }
  });
}

test('uses the next address at once when one refuses', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = await dial(port, [unusable, { address: '127.0.0.1', family: 4 }], 5_000);
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  server.close();
});

test('fails with the first error when no address can be used', async () => {
  const both = [{ address: '127.0.0.1', family: 4 }, unusable];
  await assert.rejects(dial(1, both, 5_000), { code: 'ECONNREFUSED' });
});

test('fails when the connect time-out is over, whatever the addresses do', options, async () => {
  const { port, process, fillers } = await startSlow();
  try {
    await assert.rejects(dial(port, [{ address: '127.0.0.1', family: 4 }], 400), { code: 'UND_ERR_CONNECT_TIMEOUT' });
  } finally {
    process.kill('SIGCONT');
    process.kill();
    for (const filler of fillers) filler.destroy();
    await eventually(() => process.exitCode !== null || process.signalCode !== null);
  }
});

for (const [address, family] of [
  ['169.254.169.254', 4],
  ['fe80::1', 6],
  ['::ffff:169.254.169.254', 6],
] as const) {
  test(`does not connect to a host that resolves to the link-local address ${address}`, async () => {
    await assert.rejects(dial(80, [{ address, family }], 5_000), /link-local/);
  });
}
