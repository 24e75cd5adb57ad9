/**
 * Connects through the `nats` package, over a socket that does not trust the server: the greeting is bounded, an
 * attempt that takes too long leaves no socket behind, the connection to a server that breaks the protocol is closed at
 * once, and with `ServerLimits` the amount that it sends is bounded as well.
 */

import { createConnection, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ConnectionOptions, NatsConnection, ServerInfo } from 'nats';
import internals from 'nats/lib/nats-base-client/internal_mod.js';
import nodeTransport from 'nats/lib/src/node_transport.js';
import { maxLineBytes, notNats, ServerExcess, type ServerLimits, ServerMeter } from './meter.ts';

/** What all attempts of one `connectTo` share. */
interface Attempts {
  readonly limits: ServerLimits | undefined;
  /** Ends an attempt that is under way. */
  readonly signal: AbortSignal;
  /** Set once the connection was closed because of what the server sent: its other addresses are not tried. */
  excess: ServerExcess | undefined;
}

interface OwnOptions extends ConnectionOptions {
  readonly attempts?: Attempts;
}

/** Like `connect` of the package. @throws what it throws, {ServerExcess} */
export function connectTo({
  serverLimits,
  signal,
  ...options
}: ConnectionOptions & {
  readonly serverLimits: ServerLimits | undefined;
  readonly signal: AbortSignal;
}): Promise<NatsConnection> {
  // The package takes the factory from a variable of its module, and reads it again for each attempt.
  internals.setTransportFactory({
    factory: () => new BoundedTransport(),
    dnsResolveFn: nodeTransport.nodeResolveHost,
  });
  const own: OwnOptions = {
    ...options,
    // The package compares the servers of every INFO line with all that it knows, with which a hostile server could
    // keep a client busy for seconds.
    ignoreClusterUpdates: serverLimits !== undefined,
    attempts: { limits: serverLimits, signal, excess: undefined },
  };
  return internals.NatsConnectionImpl.connect(own);
}

interface Server {
  readonly hostname: string;
  readonly port: number;
  readonly tlsName: string;
}

class BoundedTransport extends nodeTransport.NodeTransport {
  #attempts: Attempts | undefined;
  #meter: ServerMeter | undefined;
  #host = '';
  #unreadWrites = 0;
  readonly #written = (): void => {
    this.#unreadWrites--;
  };

  override connect(server: Server, options: OwnOptions): Promise<void> {
    const { attempts } = options;
    if (attempts?.excess !== undefined) return Promise.reject(attempts.excess);
    this.#attempts = attempts;
    if (attempts?.limits !== undefined) this.#meter = new ServerMeter(attempts.limits);
    this.#host = server.hostname;
    return super.connect(server, options);
  }

  /** Without a name, Node would compare the certificate with `localhost`. */
  override startTLS(): Promise<TLSSocket> {
    const tls = { ...this.options.tls, host: this.#host };
    this.options = { ...this.options, tls };
    return super.startTLS();
  }

  override dial({ hostname, port }: Pick<Server, 'hostname' | 'port'>): Promise<Socket> {
    const socket = createConnection(port, hostname);
    // Known before it is connected, so that `close` can end an attempt at any time.
    this.socket = socket;
    this.#attempts?.signal.addEventListener('abort', () => socket.destroy(), { once: true });
    socket.setNoDelay(true);
    return new Promise((resolve, reject) => {
      let failure: Error | undefined;
      socket.on('error', (err) => {
        failure = err;
      });
      socket.on('close', () => {
        socket.removeAllListeners();
        reject(failure);
      });
      socket.on('connect', () => {
        socket.removeAllListeners();
        resolve(socket);
      });
    });
  }

  override peekInfo(): Promise<ServerInfo> {
    const { socket, yields } = this;
    let length = 0;
    return new Promise<ServerInfo>((resolve, reject) => {
      let failure: Error | undefined;
      socket.on('error', (err) => {
        failure = err;
      });
      socket.on('close', () => reject(failure));
      socket.on('data', (chunk: Buffer) => {
        const end = chunk.indexOf('\n');
        yields.push(chunk);
        length += end < 0 ? chunk.length : end + 1;
        if (length > maxLineBytes)
          return reject(this.#excess(`the server sent a line of more than ${maxLineBytes} bytes`));
        if (end < 0) return;
        const [, json] = /^INFO\s+([^\r\n]+)\r\n/i.exec(Buffer.concat(yields).toString('utf8', 0, length)) ?? [];
        try {
          resolve(JSON.parse(json ?? ''));
        } catch {
          reject(this.#excess(notNats));
        }
      });
    }).finally(() => socket.removeAllListeners());
  }

  override setupHandlers(): void {
    super.setupHandlers();
    const meter = this.#meter;
    if (meter === undefined) return;
    // Data beyond the limits does not reach the parser of the package, which would log it.
    const take = (chunk: Buffer): void => {
      const problem = meter.take(chunk);
      if (problem !== undefined) return void this.close(this.#excess(problem));
      this.yields.push(chunk);
      this.signal.resolve();
    };
    this.socket.removeAllListeners('data').on('data', take);
    for (const chunk of this.yields.splice(0)) if (!this.isClosed) take(chunk as Buffer);
  }

  /** The reader returns before the end only when it could not parse what it has read. */
  override iterate(): AsyncIterableIterator<Uint8Array> {
    const chunks = super.iterate();
    const end = chunks.return?.bind(chunks);
    chunks.return = async (value) => {
      if (!this.isClosed) await this.close(this.#excess(notNats));
      return end?.(value) ?? { done: true, value };
    };
    return chunks;
  }

  override send(frame: Uint8Array): void {
    const limits = this.#attempts?.limits;
    if (limits === undefined) super.send(frame);
    else if (this.#unreadWrites >= limits.unreadWrites) void this.close(this.#excess('the server does not read'));
    else {
      this.#unreadWrites++;
      this.#meter?.credit(frame.length);
      this._send(frame).then(this.#written, this.#written);
    }
  }

  override close(err?: Error): Promise<void> {
    // The package closes a socket only once it has become a connection.
    if (!this.connected) this.socket?.destroy();
    return super.close(err);
  }

  #excess(problem: string): ServerExcess {
    const excess = new ServerExcess(problem);
    if (this.#attempts !== undefined) this.#attempts.excess = excess;
    return excess;
  }
}
