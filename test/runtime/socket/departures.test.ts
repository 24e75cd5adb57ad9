/** Held clients that leave are noticed while they are held. */

import assert from 'node:assert/strict';
import { connect as connectTcp, type Socket } from 'node:net';
import { platform } from 'node:os';
import test from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import { connect } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { startGateway } from '../../kit/gateway.ts';
import { withholdingBus } from '../gateway/held-bus.ts';

const options = { skip: platform() !== 'linux' && 'only Linux says which clients have left' };

for (const [title, leave] of [
  ['resets its connection', (socket: Socket) => socket.resetAndDestroy()],
  ['closes its connection', (socket: Socket) => socket.destroy()],
] as const) {
  for (const [family, host] of [
    ['IPv4', '127.0.0.1'],
    ['IPv6', '::1'],
  ] as const) {
    test(
      `notices a held client that ${title} over ${family}: its hook is called and its place is free`,
      options,
      async () => {
        await using hook = await startDestination();
        const broker = createMemoryBroker();
        const withheld = withholdingBus(broker);
        await using gateway = await startGateway({
          broker,
          bus: withheld.bus,
          host: '::',
          spec: { limits: { maxConnections: 1 }, hooks: { disconnect: { url: hook.url } } },
        });
        const sockets: Socket[] = [];
        const url = gateway.url('/chat');
        const createConnection = (({ port }: { port: number }) => {
          const socket = connectTcp(port, host);
          sockets.push(socket);
          return socket;
        }) as unknown as typeof connectTcp;
        await using client = await connect(url, { createConnection });
        // More than a paused stream reads ahead, so that the end of the connection is behind it.
        for (let index = 0; index < 750; index++) client.send('x'.repeat(200));
        await eventually(() => withheld.published === 128 && client.socket.bufferedAmount === 0);
        for (const socket of sockets) leave(socket);
        await eventually(() => hook.requests.length === 1);
        await eventually(async () => {
          await using next = await connect(url);
          return next.socket.readyState === next.socket.OPEN;
        });
        withheld.acknowledge();
        if (title === 'closes its connection') await eventually(() => gateway.messages.length === 750);
      },
    );
  }
}

test('leaves a held client that is there alone', options, async () => {
  const broker = createMemoryBroker();
  const withheld = withholdingBus(broker);
  await using gateway = await startGateway({ broker, bus: withheld.bus });
  await using client = await connect(gateway.url('/chat'));
  const text = 'x'.repeat(100_000);
  for (let index = 0; index < 300; index++) client.send(text);
  await eventually(() => withheld.published > 8);
  const { published } = withheld;
  await holds(() => withheld.published === published && client.socket.readyState === client.socket.OPEN, 2_500);
  assert.ok(client.socket.bufferedAmount > 1_000_000);
  withheld.acknowledge();
  await eventually(() => gateway.messages.length === 300);
});
