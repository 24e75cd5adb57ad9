/**
 * Opens connections for undici as RFC 8305 has it: the addresses of a host are tried one after another, a quarter of a
 * second apart, and none is given up before the connect time-out. The first that answers is used. (Node's own selection
 * gives each address a quarter of a second and then drops it, so a slow one behind a host with several is never reached.)
 *
 * Link-local addresses are never connected to, whatever resolves to them: machines keep their credentials there.
 */

import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { buildConnector, errors } from 'undici';

/** Milliseconds after which the next address is tried beside the earlier ones. */
const nextAddressMs = 250;
const keepAliveProbeMs = 60_000;
const readAheadBytes = 65_536;

const linkLocal = new BlockList();
linkLocal.addSubnet('169.254.0.0', 16, 'ipv4');
linkLocal.addSubnet('fe80::', 10, 'ipv6');

/** Resolves a host to all of its addresses, in the order in which to try them. */
export type Resolve = (host: string, onResult: (error: Error | null, addresses: LookupAddress[]) => void) => void;

const resolveBySystem: Resolve = (host, onResult) => lookup(host, { all: true }, onResult);

/** @param connectTimeoutMs for everything: the name, TCP and TLS */
export function createConnector(connectTimeoutMs: number, resolve = resolveBySystem): buildConnector.connector {
  const secure = buildConnector({ timeout: 0, allowH2: false });
  return (options, callback) => {
    const { hostname, port, protocol } = options;
    const dial = new Dial(hostname, Number(port) || (protocol === 'https:' ? 443 : 80), connectTimeoutMs, callback);
    dial.start(resolve, (socket) => {
      if (protocol === 'https:') dial.upgrade(socket, secure, options);
      else dial.succeed(socket);
    });
  };
}

/** One connection that is being opened. Calls back once. */
class Dial {
  readonly #host: string;
  readonly #port: number;
  readonly #callback: buildConnector.Callback;
  readonly #timer: NodeJS.Timeout;
  readonly #attempts = new Set<Socket>();
  #addresses: readonly LookupAddress[] = [];
  #nextTimer: NodeJS.Timeout | undefined;
  #secured: { destroy(error: Error): void } | undefined;
  #firstError: Error | undefined;
  #isOver = false;

  constructor(host: string, port: number, timeoutMs: number, callback: buildConnector.Callback) {
    this.#host = host;
    this.#port = port;
    this.#callback = callback;
    const error = new errors.ConnectTimeoutError(`no connection to ${host}:${port} within ${timeoutMs} ms`);
    this.#timer = setTimeout(() => this.#fail(error), timeoutMs);
  }

  /** @param onConnected with the first socket that is connected */
  start(resolve: Resolve, onConnected: (socket: Socket) => void): void {
    const family = isIP(this.#host);
    if (family !== 0) {
      this.#use([{ address: this.#host, family }], onConnected);
      return;
    }
    resolve(this.#host, (error, addresses) => {
      if (this.#isOver) return;
      if (error !== null) {
        this.#fail(error);
        return;
      }
      this.#use(addresses, onConnected);
    });
  }

  #use(addresses: readonly LookupAddress[], onConnected: (socket: Socket) => void): void {
    this.#addresses = addresses.filter((one) => !linkLocal.check(one.address, one.family === 6 ? 'ipv6' : 'ipv4'));
    if (addresses.length > 0 && this.#addresses.length === 0) {
      this.#fail(new Error(`${this.#host} is a link-local address, which is never connected to`));
      return;
    }
    this.#tryNext(onConnected);
  }

  succeed(socket: Socket): void {
    this.#end();
    this.#callback(null, socket);
  }

  /** TLS over a connected socket. */
  upgrade(socket: Socket, secure: buildConnector.connector, options: buildConnector.Options): void {
    const secured: unknown = secure({ ...options, httpSocket: socket }, (...[error, result]) => {
      if (this.#isOver) return;
      if (error === null) this.succeed(result);
      else this.#fail(error);
    });
    // Undici returns the socket, whatever its type says.
    this.#secured = secured as Socket;
  }

  #tryNext(onConnected: (socket: Socket) => void): void {
    clearTimeout(this.#nextTimer);
    const [target, ...rest] = this.#addresses;
    if (target === undefined) {
      if (this.#attempts.size === 0) this.#fail(this.#firstError ?? new Error(`${this.#host} has no address`));
      return;
    }
    this.#addresses = rest;
    // The types of Node do not know highWaterMark here.
    const settings: TcpNetConnectOpts & { highWaterMark: number } = {
      host: target.address,
      port: this.#port,
      highWaterMark: readAheadBytes,
    };
    const socket = connectTcp(settings);
    this.#attempts.add(socket);
    const onError = (error: Error): void => {
      this.#attempts.delete(socket);
      this.#firstError ??= error;
      this.#tryNext(onConnected);
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      this.#attempts.delete(socket);
      this.#dropAttempts();
      socket.setNoDelay(true).setKeepAlive(true, keepAliveProbeMs);
      onConnected(socket);
    });
    if (rest.length > 0) this.#nextTimer = setTimeout(() => this.#tryNext(onConnected), nextAddressMs);
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    this.#secured?.destroy(error);
    this.#callback(error, null);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#dropAttempts();
  }

  #dropAttempts(): void {
    clearTimeout(this.#nextTimer);
    for (const socket of this.#attempts)
      socket
        .removeAllListeners('error')
        .on('error', () => {})
        .destroy();
    this.#attempts.clear();
    this.#addresses = [];
  }
}
