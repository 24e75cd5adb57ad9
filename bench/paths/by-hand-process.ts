/**
 * What people write instead of choosing a gateway: `ws`, and `fetch` for each message. Nothing is stored or retried, and
 * answers come in any order. Runs as a process: `by-hand-process.ts PORT DESTINATION_URL SLOW_URL [AUTHORIZER_URL]`.
 */

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { WebSocketServer } from 'ws';

const [port, destination = '', slow = '', authorizer] = process.argv.slice(2);
const headers = { 'content-type': 'application/json' };

const server = createServer((_request, response) => response.end());
const sockets = new WebSocketServer({ noServer: true });

server.on('upgrade', async (request, socket, head) => {
  if (authorizer !== undefined && !(await isAllowed(authorizer, request))) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, (client) => {
    const connectionId = randomUUID();
    client.on('message', async (data) => {
      const message = data.toString();
      const body = JSON.stringify({ connection_id: connectionId, message });
      const answer = await fetch(message.startsWith('slow') ? slow : destination, { method: 'POST', headers, body });
      if (answer.ok) client.send(await answer.text());
    });
  });
});

server.listen(Number(port), '127.0.0.1', 4_096);

async function isAllowed(url: string, request: IncomingMessage): Promise<boolean> {
  const body = JSON.stringify({ headers: request.headers, url: request.url });
  const answer = await fetch(url, { method: 'POST', headers, body });
  await answer.json();
  return answer.ok;
}
