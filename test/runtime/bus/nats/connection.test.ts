/** The link and servers that misbehave: which addresses it tries, and what it does when it is stopped or has a bug. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import test from 'node:test';
import { Link } from '../../../../runtime/bus/nats/connection.ts';
import { eventually, holds } from '../../../kit/eventually.ts';

interface Listener {
  readonly port: number;
  /** Connections that were opened, over all time. */
  readonly visits: number;
  /** Closes every connection and accepts none. */
  close(): Promise<void>;
  /** Accepts connections again, on the same port. */
  open(): Promise<void>;
  /** Sends another greeting on every connection. */
  announce(maxPayloadBytes: number): void;
}

/**
 * A TCP server that greets as NATS does and announces these addresses; without any it hangs up.
 * @param maxPongs it hangs up at the ping after so many
 */
async function listen(
  addresses: () => readonly string[] | undefined,
  maxPongs = Number.POSITIVE_INFINITY,
): Promise<Listener> {
  const sockets = new Set<Socket>();
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    const connect_urls = addresses();
    if (connect_urls === undefined) return void socket.destroy();
    socket.write(greeting(connect_urls, 1_048_576));
    let pongs = 0;
    socket.on('data', (data) => {
      if (!data.includes('PING')) return;
      if (++pongs > maxPongs) socket.destroy();
      else socket.write('PONG\r\n');
    });
    return undefined;
  });
  const open = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  await open(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    get visits() {
      return visits;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        sockets.clear();
      }),
    open: () => open(port),
    announce: (maxPayloadBytes) => {
      for (const socket of sockets) socket.write(greeting([], maxPayloadBytes));
    },
  };
}

function greeting(connect_urls: readonly string[], max_payload: number): string {
  const info = { server_id: 'x', version: '2.12.0', proto: 1, headers: true, max_payload, connect_urls };
  return `INFO ${JSON.stringify(info)}\r\n`;
}

test('tries an announced address when the configured ones fail, until no server announces it', async () => {
  const old = await listen(() => undefined);
  let announced = [`127.0.0.1:${old.port}`];
  const configured = await listen(() => announced);
  const link = new Link({
    servers: [`nats://127.0.0.1:${configured.port}`],
    clientName: 'test',
    reconnectJitterMs: 1,
  });
  try {
    link.start();
    await eventually(() => link.isUp);
    await configured.close();
    await eventually(() => old.visits > 0);

    announced = [];
    await configured.open();
    await eventually(() => link.isUp);
    const { visits } = old;
    await configured.close();
    await eventually(() => !link.isUp);
    await holds(() => old.visits === visits, 1500);
  } finally {
    await link.stop();
    await Promise.all([old.close(), configured.close()]);
  }
});

test('refuses a message that is larger than the current limit of the server', async () => {
  const server = await listen(() => []);
  const link = new Link({ servers: [`nats://127.0.0.1:${server.port}`], clientName: 'test' });
  try {
    link.start();
    await eventually(() => link.isUp);
    assert.equal(link.publish('subject', Buffer.alloc(1000)), true);
    server.announce(100);
    await eventually(() => link.maxPayloadBytes === 100);
    assert.throws(() => link.publish('subject', Buffer.alloc(1000)), { code: 'HYD_MESSAGE_TOO_LARGE' });
    assert.equal(link.publish('subject', Buffer.alloc(10)), true);
  } finally {
    await link.stop();
    await server.close();
  }
});

test('does not connect again when its connection is lost while it stops', async () => {
  const server = await listen(() => [], 1);
  const link = new Link({ servers: [`nats://127.0.0.1:${server.port}`], clientName: 'test', reconnectJitterMs: 1 });
  try {
    link.start();
    await eventually(() => link.isUp);
    await link.stop();
    await holds(() => server.visits === 1, 200);
  } finally {
    await server.close();
  }
});

test('a status listener that throws ends the process', async () => {
  const server = await listen(() => []);
  const code = `
    import { Link } from '${new URL('../../../../runtime/bus/nats/connection.ts', import.meta.url)}';
    const link = new Link({ servers: ['nats://127.0.0.1:${server.port}'], clientName: 'test' });
    link.onStatus(() => { throw new Error('a bug in a listener'); });
    link.start();
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', code], { timeout: 10_000 });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    const [exitCode] = await once(child, 'exit');
    assert.equal(exitCode, 1);
    assert.match(output, /a bug in a listener/);
  } finally {
    await server.close();
  }
});
