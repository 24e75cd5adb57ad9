/**
 * The end of a port-forward in a cluster, as a kubelet serves it over WebSocket (`v4.channel.k8s.io`): for each port a data
 * and an error channel, which both begin with the number of the port, over real TCP connections.
 */

import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

export interface ForwardingKubelet {
  /** The port on this machine for a pod and a port of it. */
  readonly listeners: Map<string, number>;
  /** Requests so far. */
  readonly seen: { readonly path: string; readonly authorization: string | undefined }[];
  handle(request: IncomingMessage, socket: Socket, head: Buffer): void;
}

const dataChannel = 0;
const errorChannel = 1;
const pattern = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/portforward$/;

export function createForwardingKubelet(): ForwardingKubelet {
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('v4.channel.k8s.io') ? 'v4.channel.k8s.io' : false),
  });
  const listeners = new Map<string, number>();
  const seen: { path: string; authorization: string | undefined }[] = [];
  return {
    listeners,
    seen,
    handle(request, socket, head) {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://kubelet');
      seen.push({ path: pathname, authorization: request.headers.authorization });
      const [match, , pod] = pattern.exec(pathname) ?? [];
      if (match === undefined) {
        socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      const port = Number(searchParams.get('ports'));
      server.handleUpgrade(request, socket, head, (client) =>
        bridge(client, port, listeners.get(`${pod}:${port}`) ?? 1),
      );
    },
  };
}

function bridge(client: WebSocket, port: number, realPort: number): void {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(port);
  const send = (channel: number, data: Buffer): void => client.send(Buffer.concat([Buffer.from([channel]), data]));
  for (const channel of [dataChannel, errorChannel]) send(channel, number);
  const target = connect(realPort, '127.0.0.1');
  target.on('data', (data) => send(dataChannel, data));
  target.on('error', (error) => send(errorChannel, Buffer.from(`error forwarding port ${port}: ${error.message}`)));
  target.on('close', () => client.close());
  client.on('message', (data: Buffer) => {
    if (data[0] === dataChannel) target.write(data.subarray(1));
  });
  client.on('close', () => target.destroy());
}
