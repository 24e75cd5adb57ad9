/**
 * The least that a broadcast can cost: `POST /broadcast` writes its body, as one frame, to every socket. No WebSocket
 * library, no limits, no buffer of its own. Runs as a process: `raw-process.ts PORT`.
 */

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { Duplex } from 'node:stream';

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** FIN and the opcode of text. */
const textFrame = 0x81;
const sockets = new Set<Duplex>();

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => {
    if (request.method === 'POST') broadcast(body);
    response.writeHead(200, { 'content-length': 0 }).end();
  });
});

server.on('upgrade', (request, socket) => {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${guid}`).digest('base64');
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write(`${[...lines, `Sec-WebSocket-Accept: ${accept}`].join('\r\n')}\r\n\r\n`);
  sockets.add(socket);
  socket.on('data', () => socket.end()); // only a close frame comes
  socket.on('error', () => socket.destroy());
  socket.on('close', () => sockets.delete(socket));
});

server.listen(Number(process.argv[2]), '127.0.0.1', 4_096);

function broadcast(text: string): void {
  const header = text.length < 126 ? [textFrame, text.length] : [textFrame, 126, text.length >> 8, text.length & 0xff];
  const frame = Buffer.concat([Buffer.from(header), Buffer.from(text, 'latin1')]);
  for (const socket of sockets) socket.write(frame);
}
