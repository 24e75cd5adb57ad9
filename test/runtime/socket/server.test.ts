import assert from 'node:assert/strict';
import test from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import type { Closure } from '../../../runtime/socket/closure.ts';
import { SocketServer } from '../../../runtime/socket/server.ts';
import { connect } from '../../kit/client.ts';

const current = {
  endpoints: [{ path: '/chat' }],
  heartbeat: { intervalSeconds: 30, timeoutSeconds: 60 },
  limits: {
    maxMessageBytes: 1024,
    maxConnections: 10,
    maxPendingHandshakes: 10,
    maxConnectionsPerAddress: 0,
    handshakesPerSecondPerAddress: 0,
    maxBufferedBytes: 1024,
    maxMemoryBytes: 0,
    messageTimeoutSeconds: 60,
    messagesPerSecond: 0,
    maxConnectionAgeSeconds: 0,
  },
  expiry: { graceSeconds: 0 },
};

test('a stop during the connect hook reports the end of the connection once, and leaves nothing behind', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const closures: Closure[] = [];
  let isStopping = false;
  const sockets = new SocketServer(
    '0123456789ab',
    { current },
    {
      refusal: () => (isStopping ? new HydrogenError('HYD_DRAINING') : undefined),
      authorize: async () => ({ context: '{}' }),
      registered: () => {},
      removed: () => {},
      connect: () => {
        asked.resolve();
        return answer.promise;
      },
      opened: () => assert.fail('it was not opened'),
      message: () => {},
      disconnected: (_connection, closure) => void closures.push(closure),
      refused: () => {},
      memoryExhausted: () => {},
      dropped: () => {},
      failed: (error) => {
        throw error;
      },
    },
  );
  const port = await sockets.listen(0, '127.0.0.1');
  const refused = assert.rejects(connect(`ws://127.0.0.1:${port}/chat`));
  await asked.promise;
  isStopping = true;
  await sockets.stop();
  answer.resolve();
  await refused;
  await sockets.empty();
  assert.equal(sockets.connections.size, 0);
  assert.deepEqual(
    closures.map(({ by }) => by),
    ['gateway'],
  );
});
