/**
 * The destination of the benchmarks: answers each delivery with the client's message, after 100 ms on `/slow`, never on
 * `/hang`, and with 503 on `/fail`. Runs as a process: `destination-process.ts PORT`.
 */

import { createServer, type IncomingMessage } from 'node:http';

const port = Number(process.argv[2]);
const slowMs = 100;

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.method === 'GET') return response.end();
  read(request).then((body) => {
    const { message } = JSON.parse(body) as { message: string };
    if (request.url === '/hang') return;
    if (request.url === '/fail') return response.writeHead(503).end();
    response.setHeader('content-length', Buffer.byteLength(message));
    if (request.url === '/slow') setTimeout(() => response.end(message), slowMs);
    else response.end(message);
  });
}).listen(port, '127.0.0.1');

async function read(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => resolve(body));
    request.on('error', reject);
  });
}
