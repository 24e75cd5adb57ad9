/** The destination of the benchmark: answers each delivery with the client's message. Runs as a process: `destination-process.ts PORT`. */

import { createServer, type IncomingMessage } from 'node:http';

const port = Number(process.argv[2]);

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.method === 'GET') return response.end();
  read(request).then((body) => {
    const { message } = JSON.parse(body) as { message: string };
    response.setHeader('content-length', Buffer.byteLength(message));
    response.end(message);
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
