/**
 * The cost of the same work with no bus: one process takes a message from a socket, posts it to the destination in the
 * body that hydrogen sends, and writes the answer back. Nothing is stored, routed, retried or counted. It uses undici's
 * `dispatch`, twice as fast as `request`: a floor that can be lowered is not a floor. `ordered` posts the messages of a
 * connection one after another. With an authorizer, each upgrade waits for one POST. Runs as a process:
 * `floor-process.ts PORT DESTINATION_URL [concurrent|ordered [AUTHORIZER_URL]]`.
 */

import { createServer } from 'node:http';
import { Pool } from 'undici';
import { type WebSocket, WebSocketServer } from 'ws';

const [port, destination = '', order = 'concurrent', authorizer] = process.argv.slice(2);
const { origin, pathname } = new URL(destination);
const pool = new Pool(origin, { connections: 256, pipelining: 1 });
const headers = { 'content-type': 'application/json' };

const server = createServer((_request, response) => response.end());
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
let opened = 0;

server.on('upgrade', (request, socket, head) => {
  const open = (): void => sockets.handleUpgrade(request, socket, head, serve);
  if (authorizer === undefined) return open();
  post(new URL(authorizer).pathname, JSON.stringify({ headers: request.headers, url: request.url }), open);
});

server.listen(Number(port), '127.0.0.1', 4_096);

function serve(socket: WebSocket): void {
  opened += 1;
  const facts = {
    instance_id: 'floor',
    group_id: 'bench_floor',
    connection_id: `floor-${opened}`,
    endpoint: '/echo',
    context: { authorizer: {} },
  };
  const deliver = (message: string, then?: () => void): void => {
    const body = JSON.stringify({ ...facts, time: new Date().toISOString(), message, message_encoding: 'text' });
    post(pathname, body, (answer) => {
      socket.send(answer, { binary: false });
      then?.();
    });
  };
  if (order === 'ordered') deliverInOrder(socket, deliver);
  else socket.on('message', (data) => deliver(data.toString()));
}

function deliverInOrder(socket: WebSocket, deliver: (message: string, then: () => void) => void): void {
  const waiting: string[] = [];
  const next = (): void => {
    const [message] = waiting;
    if (message === undefined) return;
    deliver(message, () => {
      waiting.shift();
      next();
    });
  };
  socket.on('message', (data) => {
    waiting.push(data.toString());
    if (waiting.length === 1) next();
  });
}

function post(path: string, body: string, onAnswer: (answer: Buffer) => void): void {
  const chunks: Buffer[] = [];
  pool.dispatch(
    { path, method: 'POST', headers, body },
    {
      onRequestStart: () => {},
      onResponseStart: (_controller, status) => {
        if (status !== 200) fail(new Error(`the destination answered ${status}`));
      },
      onResponseData: (_controller, chunk) => chunks.push(chunk),
      onResponseEnd: () => onAnswer(Buffer.concat(chunks)),
      onResponseError: (_controller, err) => fail(err),
    },
  );
}

/** An answer that never comes would look like a slow one. */
function fail(err: Error): never {
  console.error(err);
  process.exit(1);
}
