import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { laneOfConnection } from '../../../runtime/bus/subjects.ts';
import { StoredQuota } from '../../../runtime/gateway/stored-quota.ts';
import { Connection } from '../../../runtime/socket/connection.ts';
import { holds } from '../../../runtime/socket/inbox.ts';
import { collect, message, text } from '../../contract/bus/kit.ts';
import { gatewayDocument, parsed } from '../../kit/documents.ts';
import { eventually, holds as staysTrue } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { replaced } from '../../kit/replaced.ts';
import { natsGroup, untilEntries } from '../bus/nats/kit.ts';

const skip = await natsOrSkip();
const limit = 64;

/** A connection that publishes as the intake of a gateway does, as long as it is not held. */
class Publishing {
  readonly connection: Connection;
  stored = 0;
  /** Messages that were published apart. */
  apart = 0;
  readonly #bus: Bus;
  readonly #quota: StoredQuota;

  constructor(bus: Bus, quota: StoredQuota, id: string) {
    const spec = parsed(gatewayDocument()).spec;
    const policy = { current: { ...spec, paths: ['/chat'] } };
    this.connection = new Connection({ id, endpoint: '/chat', remoteAddress: '', policy });
    this.#bus = bus;
    this.#quota = quota;
  }

  get isHeld(): boolean {
    return (this.connection.holds & holds.stored) !== 0;
  }

  /** Publishes up to so many messages at once. */
  async send(count: number, payload = 'hello'): Promise<void> {
    const sent: Promise<void>[] = [];
    for (let n = 0; n < count && !this.isHeld; n++) {
      const isApart = this.#quota.published(this.connection);
      if (isApart) this.apart++;
      const one = message({ connectionId: this.connection.id, payload: Buffer.from(payload) });
      sent.push(
        this.#bus.messages.publish(one, isApart).then((position) => {
          this.stored++;
          this.#quota.ended(this.connection, position, isApart);
        }),
      );
    }
    await Promise.all(sent);
  }
}

/** Two connections of one lane. */
function neighbours(): [string, string] {
  const lane = laneOfConnection('gw-1-0');
  for (let n = 1; ; n++) if (laneOfConnection(`gw-1-${n}`) === lane) return ['gw-1-0', `gw-1-${n}`];
}

describe('the quota of a connection over entries', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  test('holds a connection at its limit, and goes on once half is consumed', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const open: Delivery[] = [];
    await collect(bus, { maxInFlight: 1024 }, (delivery) => {
      if (text(delivery.payload) === 'probe') delivery.ack();
      else open.push(delivery);
    });
    await untilEntries(bus);
    const quota = new StoredQuota(bus.messages, () => limit);
    const flooder = new Publishing(bus, quota, 'gw-1-flood');
    for (let round = 0; round < 40; round++) await flooder.send(4);
    assert.ok(flooder.stored >= limit && flooder.stored <= limit * 1.25, `${flooder.stored}`);
    assert.ok(flooder.isHeld && flooder.apart > 0);
    await eventually(() => open.length === flooder.stored);
    for (const delivery of open.splice(0, limit / 4)) delivery.ack();
    await staysTrue(() => flooder.isHeld, 300);
    for (const delivery of open.splice(0)) delivery.ack();
    await eventually(() => !flooder.isHeld);
  });

  test('holds nobody because a neighbour floods', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    const [flood, quiet] = neighbours();
    await collect(bus, { maxInFlight: 1024 }, (delivery) => {
      if (delivery.connectionId !== flood) delivery.ack();
    });
    await untilEntries(bus);
    const quota = new StoredQuota(bus.messages, () => limit);
    const [flooder, other] = [new Publishing(bus, quota, flood), new Publishing(bus, quota, quiet)];
    await flooder.send(limit);
    await flooder.send(limit);
    assert.ok(flooder.isHeld);
    for (let round = 0; round < 100; round++) {
      await eventually(() => !other.isHeld);
      await other.send(8);
    }
    assert.equal(other.stored, 800);
    assert.ok(other.apart > 0, 'on the shared subject it would count for what the neighbour has stored');
    assert.ok(flooder.isHeld);
  });

  test('asks seldom about a connection whose messages are consumed as they come', async () => {
    await using group = natsGroup(server);
    const bus = await group.started();
    await collect(bus, { maxInFlight: 1024 }, (delivery) => delivery.ack());
    await untilEntries(bus);
    let questions = 0;
    const messages = replaced(bus.messages, {
      remainder: (endpoint, id, isApart) => {
        questions++;
        return bus.messages.remainder(endpoint, id, isApart);
      },
    });
    const quota = new StoredQuota(messages, () => limit);
    const one = new Publishing(bus, quota, 'gw-1-busy');
    for (let round = 0; round < 400; round++) {
      await eventually(() => !one.isHeld);
      await one.send(2);
    }
    assert.equal(one.stored, 800);
    assert.ok(questions <= (2 * 800) / (limit / 4), `${questions} questions`);
  });
});
