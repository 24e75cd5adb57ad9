/** Servers that tell of one another: which addresses are tried, and which no longer. */

import { type AddressInfo, createServer, type Socket } from 'node:net';
import test from 'node:test';

import { Link } from '../../../../runtime/bus/nats/connection.ts';
import { eventually, holds } from '../../../kit/eventually.ts';

interface Listener {
  readonly port: number;
  /** How often somebody came. */
  readonly visits: number;
  /** Closes every connection and accepts none. */
  close(): Promise<void>;
  /** Accepts connections again, on the same port. */
  open(): Promise<void>;
}

/** A TCP server that greets as NATS does and names these addresses; without any it hangs up. */
async function listen(addresses: () => readonly string[] | undefined): Promise<Listener> {
  const sockets = new Set<Socket>();
  let visits = 0;
  const server = createServer((socket) => {
    visits++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    const connect_urls = addresses();
    if (connect_urls === undefined) return void socket.destroy();
    const about = { server_id: 'x', version: '2.12.0', proto: 1, headers: true, max_payload: 1_048_576, connect_urls };
    socket.write(`INFO ${JSON.stringify(about)}\r\n`);
    socket.on('data', (data) => data.includes('PING') && socket.write('PONG\r\n'));
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
  };
}

test('an address that a server tells of is tried when the configured ones fail, until none tells of it', async () => {
  const old = await listen(() => undefined);
  let told = [`127.0.0.1:${old.port}`];
  const configured = await listen(() => told);
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

    told = [];
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
