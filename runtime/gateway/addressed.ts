/** Does what services ask of users, channels and lists, for the connections of this gateway, and answers. */

import type { Address } from '../bus/port/peers.ts';
import type { Fence } from '../peers/fence.ts';
import {
  type Description,
  decodeQuestion,
  encodeInstanceResult,
  type Filter,
  type Question,
  type Result,
} from '../peers/questions.ts';
import type { GatewayMetrics } from '../role/metrics.ts';
import type { Connection } from '../socket/connection.ts';
import type { SocketServer } from '../socket/server.ts';
import { DoneRequests } from './done-requests.ts';
import type { FannedOut, FanOut } from './fan-out.ts';
import type { GatewayIdentity, LiveGatewaySpec } from './identity.ts';
import type { Members } from './members.ts';
import { describeConnection } from './owner.ts';

export interface AddressedDeps {
  readonly identity: GatewayIdentity;
  readonly spec: LiveGatewaySpec;
  readonly sockets: SocketServer;
  readonly members: Members;
  readonly fanOut: FanOut;
  readonly fence: Fence;
  readonly metrics: GatewayMetrics;
  /** False once others may call these connections gone. */
  isAlive(): boolean;
  /** Receives what no gateway of this release asks. */
  onUnreadable(payload: Uint8Array): void;
}

type Asked = Exclude<Address, { readonly kind: 'fence' }>;

export class Addressed {
  readonly #deps: AddressedDeps;
  readonly #sent = new DoneRequests<FannedOut | Promise<FannedOut>>();

  constructor(deps: AddressedDeps) {
    this.#deps = deps;
  }

  /** Answers at once, or says at once that it is at work. */
  hear(address: Asked, payload: Uint8Array, respond: (answer: Uint8Array) => void): void {
    const { identity, isAlive, onUnreadable } = this.#deps;
    const question = decodeQuestion(payload);
    if (question === undefined) onUnreadable(payload);
    if (question === undefined || !isAlive()) return;
    this.#deps.metrics.questions.add(question.kind);
    const { instanceId } = identity;
    const result = this.#do(address, question);
    if (result instanceof Promise) {
      respond(encodeInstanceResult({ instanceId, result: undefined }));
      void result.then((done) => respond(encodeInstanceResult({ instanceId, result: done })));
    } else respond(encodeInstanceResult({ instanceId, result }));
  }

  #do(address: Asked, question: Question): Result | Promise<Result> {
    switch (question.kind) {
      case 'send': {
        const { data, isBinary, except, key } = question;
        const targets = (): Iterable<Connection> =>
          except === undefined ? this.#of(address) : without(this.#of(address), except);
        const write = (): FannedOut | Promise<FannedOut> => this.#deps.fanOut.write(targets, data, isBinary);
        return key === undefined ? write() : this.#sent.once([...wordsOf(address), key], write);
      }
      case 'disconnect':
        return this.#disconnect(address, question.closeCode, question.reason);
      case 'join':
        return this.#join(address, question.channel);
      case 'leave':
        return this.#leave(address, question.channel);
      case 'list':
        return this.#list(address, question.filter);
    }
  }

  #of(address: Asked): Iterable<Connection> {
    const { members, sockets } = this.#deps;
    return 'name' in address ? members.of(address) : sockets.connections.values();
  }

  /** Those that can be sent to. */
  #open(address: Asked): Connection[] {
    return [...this.#of(address)].filter(({ isEnding }) => !isEnding);
  }

  #disconnect(address: Asked, closeCode: number, reason: string): Result {
    const connections = this.#open(address);
    for (const connection of connections) connection.close({ closeCode, reason, by: 'service' });
    return { connections: connections.length };
  }

  /** Resolves once what any gateway asks of the channel reaches them. */
  async #join(address: Asked, channel: string): Promise<Result> {
    const { fence, members, spec } = this.#deps;
    const connections = this.#open(address);
    const max = spec.current.limits.maxChannelsPerConnection;
    const refused = connections.filter((connection) => members.join(connection, channel, max) === 'full').length;
    await fence.join();
    return { connections: connections.length - refused, refused };
  }

  #leave(address: Asked, channel: string): Result {
    const left = this.#open(address).filter((connection) => this.#deps.members.leave(connection, channel));
    return { connections: left.length };
  }

  #list(address: Asked, filter: Filter): Result {
    const { instanceId } = this.#deps.identity;
    const fitting = this.#open(address).filter((connection) => fits(connection, filter));
    const page = firstAfter(fitting, filter.after ?? '', filter.limit);
    const list = page.map((connection): Description => describeConnection(connection, instanceId));
    return { connections: fitting.length, list };
  }
}

function wordsOf(address: Asked): string[] {
  return 'name' in address ? [address.kind, address.name] : [address.kind];
}

function* without(connections: Iterable<Connection>, id: string): Iterable<Connection> {
  for (const connection of connections) if (connection.id !== id) yield connection;
}

function fits({ endpoint, user, channels }: Connection, filter: Filter): boolean {
  if (filter.endpoint !== undefined && filter.endpoint !== endpoint) return false;
  if (filter.user !== undefined && filter.user !== user) return false;
  return filter.channel === undefined || channels.includes(filter.channel);
}

/** The `limit` connections with the lowest ids after `id`, in order: one pass, and a sort of no more than the page. */
function firstAfter(connections: readonly Connection[], id: string, limit: number): Connection[] {
  let page: Connection[] = [];
  let last = '';
  for (const connection of connections) {
    if (connection.id <= id || (last !== '' && connection.id >= last)) continue;
    page.push(connection);
    if (page.length < 2 * limit) continue;
    page = page.sort(byId).slice(0, limit);
    last = page.at(-1)?.id ?? '';
  }
  return page.sort(byId).slice(0, limit);
}

function byId(a: Connection, b: Connection): number {
  return a.id < b.id ? -1 : 1;
}
