/**
 * Which of this gateway's connections are of a user, and which are members of a channel. While a name has any, the gateway
 * listens to what is asked of it; a name that has none costs nothing. A membership ends with its connection.
 */

import type { Address, Closable } from '../bus/port/peers.ts';
import type { Connection } from '../socket/connection.ts';

/** A user or a channel with connections here. */
interface Seat {
  /** One connection is kept as it is, because most users have one. */
  members: Connection | Set<Connection>;
  readonly listening: Closable;
}

export type Joined = 'joined' | 'already' | 'full';

const none: readonly Connection[] = [];

export class Members {
  readonly #listen: (address: Address) => Closable;
  readonly #seats = { user: new Map<string, Seat>(), channel: new Map<string, Seat>() };
  #memberships = 0;

  /** @param listen begins to hear what is asked of an address */
  constructor(listen: (address: Address) => Closable) {
    this.#listen = listen;
  }

  /** Connections counted once for each channel that they are in. */
  get memberships(): number {
    return this.#memberships;
  }

  /** The connections of an address, in the order in which they came. They must not be changed while they are read. */
  of(address: Extract<Address, { name: string }>): Iterable<Connection> {
    const members = this.#seats[address.kind].get(address.name)?.members ?? none;
    return Symbol.iterator in members ? members : [members];
  }

  count(address: Extract<Address, { name: string }>): number {
    const members = this.#seats[address.kind].get(address.name)?.members;
    if (members === undefined) return 0;
    return members instanceof Set ? members.size : 1;
  }

  /** Takes note of a new connection: its user, and its channels if it has any. */
  add(connection: Connection): void {
    if (connection.user !== undefined) this.#sit('user', connection.user, connection);
    for (const channel of connection.channels) this.#sit('channel', channel, connection);
    this.#memberships += connection.channels.length;
  }

  /** It is gone, and with it all its memberships. */
  remove(connection: Connection): void {
    if (connection.user !== undefined) this.#rise('user', connection.user, connection);
    for (const channel of connection.channels) this.#rise('channel', channel, connection);
    this.#memberships -= connection.channels.length;
    connection.channels = [];
  }

  /** @param max channels that it may be in */
  join(connection: Connection, channel: string, max: number): Joined {
    if (connection.channels.includes(channel)) return 'already';
    if (connection.channels.length >= max) return 'full';
    connection.channels = [...connection.channels, channel];
    this.#memberships += 1;
    this.#sit('channel', channel, connection);
    return 'joined';
  }

  /** False when it was no member. */
  leave(connection: Connection, channel: string): boolean {
    if (!connection.channels.includes(channel)) return false;
    connection.channels = connection.channels.filter((one) => one !== channel);
    this.#memberships -= 1;
    this.#rise('channel', channel, connection);
    return true;
  }

  #sit(kind: 'user' | 'channel', name: string, connection: Connection): void {
    const seat = this.#seats[kind].get(name);
    if (seat === undefined) {
      this.#seats[kind].set(name, { members: connection, listening: this.#listen({ kind, name }) });
    } else if (seat.members instanceof Set) seat.members.add(connection);
    else seat.members = new Set([seat.members, connection]);
  }

  #rise(kind: 'user' | 'channel', name: string, connection: Connection): void {
    const seat = this.#seats[kind].get(name);
    if (seat === undefined) return;
    if (seat.members instanceof Set) {
      seat.members.delete(connection);
      if (seat.members.size > 0) return;
    } else if (seat.members !== connection) return;
    seat.listening.close();
    this.#seats[kind].delete(name);
  }
}
