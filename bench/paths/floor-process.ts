/**
 * The cost of the same work with no bus: one process takes a message from a socket, posts it to the destination in the
 * body that hydrogen sends, and writes the answer back. Nothing is stored, routed, retried or counted. It uses undici's
 * `dispatch`, twice as fast as `request`: a floor that can be lowered is not a floor. Runs as a process:
 * `floor-process.ts PORT DESTINATION_URL`.
 */

import { createServer } from 'node:http';
import { Pool } from 'undici';
import { type WebSocket, WebSocketServer } from 'ws';

const [port, destination] = process.argv.slice(2);
const { origin, pathname } = new URL(destination ?? '');
const pool = new Pool(origin, { connections: 256, pipelining: 1 });
const headers = { 'content-type': 'application/json' };

const server = createServer((_request, response) => response.end());
let opened = 0;

new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
  opened += 1;
  const facts = {
    instance_id: 'floor',
    group_id: 'bench_floor',
    connection_id: `floor-${opened}`,
    endpoint: '/echo',
    context: { authorizer: {} },
  };
  socket.on('message', (data) => deliver(socket, facts, data.toString()));
});

server.listen(Number(port), '127.0.0.1');

function deliver(socket: WebSocket, facts: object, message: string): void {
  const body = JSON.stringify({ ...facts, time: new Date().toISOString(), message, message_encoding: 'text' });
  const chunks: Buffer[] = [];
  pool.dispatch(
    { path: pathname, method: 'POST', headers, body },
    {
      onRequestStart: () => {},
      onResponseStart: (_controller, status) => {
        if (status !== 200) throw new Error(`the destination answered ${status}`);
      },
      onResponseData: (_controller, chunk) => chunks.push(chunk),
      onResponseEnd: () => socket.send(Buffer.concat(chunks), { binary: false }),
      onResponseError: (_controller, err) => {
        throw err;
      },
    },
  );
}
