/**
 * Clients that come and go all the time while services change memberships: what a channel says of its members, and what they
 * get, always follows from who is connected and what was answered.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '../../kit/client.ts';
import { eventually } from '../../kit/eventually.ts';
import type { TestGateway } from '../../kit/gateway.ts';
import { ask, type MakeGroup, onBothBuses, startGroup } from './group.ts';

const channels = ['c0', 'c1', 'c2', 'c3'];
const clientCount = 40;
const rounds = 6;

/** One life of a client: a connection, and the channels that it is in as far as was answered. */
interface Life {
  readonly user: string;
  readonly client: Client;
  readonly id: string;
  readonly channels: Set<string>;
  /** Texts of channels that it must not have got: they were sent when it was no member. */
  readonly forbidden: Set<string>;
}

class Storm {
  readonly #group: Awaited<ReturnType<typeof startGroup>>;
  readonly lives: Life[] = [];
  #count = 0;
  #state = 20_261_127;

  constructor(group: Awaited<ReturnType<typeof startGroup>>) {
    this.#group = group;
  }

  /** The same numbers in each run: 0 to below `below`. */
  #draw(below: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return (this.#state >>> 16) % below;
  }

  #gateway(): TestGateway {
    return this.#group.gateways[this.#draw(this.#group.gateways.length)] ?? assert.fail();
  }

  async connectOne(): Promise<void> {
    const user = `u${this.#count++}`;
    const mine = channels.filter(() => this.#draw(2) === 0);
    const at = this.#draw(this.#group.gateways.length);
    const client = await this.#group.connect(at, `user=${user}${mine.length > 0 ? `&channels=${mine}` : ''}`);
    const id = await eventually(async () => {
      const { body } = await ask(this.#gateway(), 'GET', `/users/${user}`);
      return (body.items as { connection_id: string }[])[0]?.connection_id ?? assert.fail();
    });
    this.lives.push({ user, client, id, channels: new Set(mine), forbidden: new Set() });
  }

  /** The connection ends, and another one of this client comes. */
  async reconnect(life: Life): Promise<void> {
    this.lives.splice(this.lives.indexOf(life), 1);
    // A change that runs against the end of the connection: it is done or the connection is gone.
    const raced = ask(this.#gateway(), 'PUT', `/channels/${channels[this.#draw(4)]}/connections/${life.id}`);
    if (this.#draw(2) === 0) life.client.socket.terminate();
    else life.client.socket.close();
    assert.ok([204, 410].includes((await raced).status));
    await this.connectOne();
  }

  /** By connection or by user, through any gateway; sometimes twice. */
  async change(life: Life): Promise<void> {
    const channel = channels[this.#draw(channels.length)] ?? '';
    const isJoin = this.#draw(2) === 0;
    const target = this.#draw(2) === 0 ? `connections/${life.id}` : `users/${life.user}`;
    for (let i = 0; i <= this.#draw(2); i++) {
      const { status } = await ask(this.#gateway(), isJoin ? 'PUT' : 'DELETE', `/channels/${channel}/${target}`);
      assert.ok(status === 200 || status === 204);
    }
    if (isJoin) life.channels.add(channel);
    else life.channels.delete(channel);
  }

  /** Everything at once. */
  async round(): Promise<void> {
    const going = this.lives.filter(() => this.#draw(3) === 0);
    const staying = this.lives.filter((life) => !going.includes(life));
    await Promise.all([
      ...going.map((life) => this.reconnect(life)),
      ...staying.map(async (life) => {
        for (let i = 0; i < 3; i++) await this.change(life);
      }),
    ]);
  }

  /** What lists say, from each gateway, and what arrives. */
  async check(round: number): Promise<void> {
    for (const channel of channels) {
      const members = this.lives.filter((life) => life.channels.has(channel));
      for (const [at, gateway] of this.#group.gateways.entries()) {
        await eventually(async () => {
          const { body } = await ask(gateway, 'GET', `/channels/${channel}?limit=1000`);
          const items = body.items as { connection_id: string; channels: string[] }[];
          assert.deepEqual(
            items.map((item) => item.connection_id),
            members.map(({ id }) => id).sort(),
          );
          for (const item of items) assert.equal(new Set(item.channels).size, item.channels.length);
        });
        const text = `${channel} round ${round} from ${at}`;
        const { body } = await ask(gateway, 'POST', `/channels/${channel}/_send`, text);
        assert.deepEqual(body, { connections: members.length, sent: members.length, full: 0, unanswered: 0 });
        for (const life of this.lives) if (!members.includes(life)) life.forbidden.add(text);
        await eventually(() => members.every(({ client }) => client.texts.includes(text)));
      }
    }
    for (const { client, forbidden, user } of this.lives) {
      assert.equal(new Set(client.texts).size, client.texts.length, `${user} got a message twice`);
      assert.ok(!client.texts.some((text) => forbidden.has(text)), `${user} got a message of a channel that it left`);
    }
  }
}

function suite(makeGroup: MakeGroup): void {
  test('no connection is in a channel that it left, or twice, however fast clients reconnect', async () => {
    await using group = await startGroup(makeGroup, 3);
    const storm = new Storm(group);
    await Promise.all(Array.from({ length: clientCount }, () => storm.connectOne()));
    for (let round = 0; round < rounds; round++) {
      await storm.round();
      assert.equal(storm.lives.length, clientCount);
      await storm.check(round);
    }
    for (const { client } of storm.lives) client.socket.terminate();
    for (const gateway of group.gateways) {
      await eventually(async () => assert.equal((await ask(gateway, 'GET', '/connections')).body.connections, 0));
      for (const channel of channels) {
        assert.equal((await ask(gateway, 'POST', `/channels/${channel}/_send`, 'nobody')).body.connections, 0);
      }
    }
  });
}

await onBothBuses('memberships under a storm of reconnects', suite);
