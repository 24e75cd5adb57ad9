/** A server that speaks enough NATS to be connected to, and then does what a test says to harm its client. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** One client of it. */
export interface HostilePeer {
  readonly socket: Socket;
  /** Subscription ids by subject. */
  readonly subscriptions: ReadonlyMap<string, string>;
  /** Sends the chunk again and again, as fast as it is taken. */
  flood(chunk: string | Buffer): void;
}

export interface HostileNatsOptions {
  /** @default - an ordinary INFO line */
  readonly onConnect?: (peer: HostilePeer) => void;
  /** The client has logged in. */
  readonly onReady?: (peer: HostilePeer) => void;
  /** The body of an answer of the JetStream API, for example to `CONSUMER.LIST.HYDROGEN_shop_chat`; undefined: an ordinary one. */
  readonly answer?: (request: string) => string | Buffer | undefined;
}

export interface HostileNats extends AsyncDisposable {
  readonly url: string;
  /** Connections so far, and those that are open. */
  readonly accepted: number;
  readonly open: number;
  /** Bytes that its clients have taken, or the system for them. */
  readonly sentBytes: number;
}

export const infoLine = `INFO ${JSON.stringify({
  server_id: 'hostile',
  version: '2.11.0',
  proto: 1,
  headers: true,
  max_payload: 1_048_576,
  jetstream: true,
})}\r\n`;

export async function startHostileNats(options: HostileNatsOptions): Promise<HostileNats> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  let sentBytes = 0;
  const server = createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      sentBytes += socket.bytesWritten;
    });
    serve(socket, options);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on a port and not on a pipe
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    get sentBytes() {
      return [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, sentBytes);
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function serve(socket: Socket, { onConnect, onReady, answer }: HostileNatsOptions): void {
  const subscriptions = new Map<string, string>();
  const streams = new Map<string, unknown>();
  const peer: HostilePeer = {
    socket,
    subscriptions,
    flood: (chunk) => {
      const pump = (): void => {
        while (!socket.destroyed) if (!socket.write(chunk)) return void socket.once('drain', pump);
      };
      pump();
    },
  };

  function reply(inbox: string, body: string | Buffer): void {
    const [, sid = '0'] = [...subscriptions].find(([subject]) => inbox.startsWith(subject.replace(/[*>]$/, ''))) ?? [];
    socket.write(`MSG ${inbox} ${sid} ${Buffer.byteLength(body)}\r\n`);
    socket.write(body);
    socket.write('\r\n');
  }

  function ordinary(request: string, body: string): object {
    const [, action = '', stream = ''] = /^STREAM\.(\w+)\.(.+)$/.exec(request) ?? [];
    if (action === 'CREATE') streams.set(stream, JSON.parse(body));
    if (action !== '' && !streams.has(stream))
      return { error: { code: 404, err_code: 10_059, description: 'not found' } };
    if (action !== '') return { config: streams.get(stream), state: { last_seq: 0 } };
    return request.startsWith('CONSUMER.LIST') ? { total: 0, consumers: [] } : {};
  }

  let isReady = false;
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    for (let end = received.indexOf('\r\n'); end >= 0; end = received.indexOf('\r\n')) {
      const [verb = '', ...args] = received.slice(0, end).split(' ');
      let next = end + 2;
      if (verb === 'PUB') {
        const [subject = '', inbox = ''] = args;
        const length = Number(args.at(-1));
        if (received.length < next + length + 2) return;
        const body = received.slice(next, next + length);
        next += length + 2;
        const request = subject.replace('$JS.API.', '');
        if (args.length === 3) reply(inbox, answer?.(request) ?? JSON.stringify(ordinary(request, body)));
      }
      received = received.slice(next);
      if (verb === 'SUB') subscriptions.set(args[0] ?? '', args.at(-1) ?? '');
      if (verb !== 'PING') continue;
      socket.write('PONG\r\n');
      if (!isReady) setImmediate(() => onReady?.(peer));
      isReady = true;
    }
  });
  if (onConnect === undefined) socket.write(infoLine);
  else onConnect(peer);
}
