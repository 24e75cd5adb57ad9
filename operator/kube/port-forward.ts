/** Streams to ports of pods, through the API server, as `kubectl port-forward` opens them. */

import { createRequire } from 'node:module';
import { Duplex, PassThrough, Writable } from 'node:stream';
import type { KubeConfig } from '@kubernetes/client-node';

import type { Cluster } from './cluster.ts';
import { ApiError, messageOf } from './errors.ts';

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/**
 * A connection to a port of a pod, from its own loopback interface. Needs the verbs `get` and `create` for `pods/portforward`.
 * The stream fails when nothing listens there. @throws {ApiError} when the API server does not open it
 */
export async function forwardPort(cluster: Cluster, { namespace, pod, port }: PodPort): Promise<Duplex> {
  // As with kubeconfigs: it loads much generated code, so only who needs it loads it.
  const require = createRequire(import.meta.url);
  const { PortForward } = require('@kubernetes/client-node') as typeof import('@kubernetes/client-node');
  const outgoing = new PassThrough();
  const incoming = new PassThrough();
  const failures = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      // Nothing is left of the first message, which has only the number of the port.
      if (chunk.length > 0) incoming.destroy(new Error(chunk.toString('utf8').trim()));
      done();
    },
  });
  const forward = new PortForward(configOf(cluster));
  const place = `port-forward to pods/${pod}`;
  const opened = await forward.portForward(namespace, pod, [port], incoming, failures, outgoing).catch((cause) => {
    throw new ApiError(0, `${place}: ${messageOf(cause)}`, { cause });
  });
  // Only restartable forwards are functions.
  const socket = opened as Exclude<typeof opened, () => unknown>;
  socket.onclose = () => incoming.end();
  const stream = Duplex.from({ readable: incoming, writable: outgoing });
  stream.once('close', () => socket.close());
  return stream;
}

/** The part of a kubeconfig that a forward asks for, with the credentials of our cluster. */
function configOf(cluster: Cluster): KubeConfig {
  const server = cluster.server.href.replace(/\/$/, '');
  const config = {
    getCurrentCluster: () => ({ server }),
    applyToHTTPSOptions: async (options: object) => {
      const { headers, auth, tls, agent } = await cluster.credentials();
      Object.assign(options, { headers, ...tls, ...(auth && { auth }), ...(agent && { agent }) });
    },
  };
  return config as unknown as KubeConfig;
}
