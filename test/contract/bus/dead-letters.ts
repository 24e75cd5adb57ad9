/** The bus contract: dead letters, and their replay. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { ack, collect, type MakeBusEnvironment, message, startBus, text } from './kit.ts';

export function busDeadLetters(makeEnvironment: MakeBusEnvironment): void {
  keeping(makeEnvironment);
  replay(makeEnvironment);
  repetition(makeEnvironment);
}

function keeping(makeEnvironment: MakeBusEnvironment): void {
  test('keeps a dead letter with its cause', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus);
    const dead = message({ endpoint: '/räume', payload: Buffer.from([0, 255]) });
    const cause = { code: 'HYD_DESTINATION_FAILED', detail: 'grüße\r\nzeile', status: 503, rule: 'rest' };
    await bus.deadLetters.store('chat', dead, 8, cause);
    const [letter] = await bus.deadLetters.of('chat').list(10);
    assert.ok(letter);
    const { sequence, diedAtMs, payload, ...rest } = letter;
    const { payload: sentPayload, isReplay: _, storedAtMs: __, ...sent } = dead;
    assert.deepEqual(rest, { ...sent, attempts: 8, ...cause });
    assert.deepEqual(Buffer.from(payload), sentPayload);
    assert.ok(Math.abs(diedAtMs - Date.now()) < 5000);
    assert.deepEqual((await bus.deadLetters.of('chat').get(sequence))?.id, dead.id);
  });

  test('omits fields that the cause does not have', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus);
    await bus.deadLetters.store('chat', message(), 1, { code: 'HYD_NO_RULE_MATCHED', detail: '' });
    const [letter] = await bus.deadLetters.of('chat').list(1);
    assert.ok(letter && !('status' in letter) && !('rule' in letter));
    assert.equal(letter.detail, '');
  });

  test('lists the letters of one processor, oldest first, in pages', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus);
    const letters = bus.deadLetters.of('chat');
    assert.deepEqual(await letters.list(10), []);
    const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
    for (const body of ['a', 'b', 'c']) {
      await bus.deadLetters.store('chat', message({ payload: Buffer.from(body) }), 1, cause);
      await bus.deadLetters.store('audit', message({ payload: Buffer.from(`other ${body}`) }), 1, cause);
    }
    const page = await letters.list(2);
    assert.deepEqual(
      page.map((letter) => text(letter.payload)),
      ['a', 'b'],
    );
    const rest = await letters.list(2, page[1]?.sequence);
    assert.deepEqual(
      rest.map((letter) => text(letter.payload)),
      ['c'],
    );
    assert.deepEqual(await letters.list(2, rest[0]?.sequence), []);
  });

  test('removes one letter, and purges those of one processor', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus);
    const letters = bus.deadLetters.of('chat');
    for (const processor of ['chat', 'chat', 'chat', 'audit']) {
      await bus.deadLetters.store(processor, message(), 1, { code: 'HYD_NO_RULE_MATCHED', detail: '' });
    }
    const [letter] = await letters.list(1);
    assert.ok(letter);
    const [foreign] = await bus.deadLetters.of('audit').list(1);
    assert.equal(await letters.remove(foreign?.sequence ?? 0), false);
    assert.equal(await letters.remove(letter.sequence), true);
    assert.equal(await letters.remove(letter.sequence), false);
    assert.equal(await letters.get(letter.sequence), undefined);
    assert.equal(await letters.purge(), 2);
    assert.deepEqual(await letters.list(10), []);
    assert.equal((await bus.deadLetters.of('audit').list(10)).length, 1);
  });
}

function replay(makeEnvironment: MakeBusEnvironment): void {
  test('replays a letter to its own processor alone, with its old id and a fresh attempt count', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const chat = await collect(bus, {}, ack);
    const audit = await collect(bus, { processor: 'audit' }, ack);
    const sent = message();
    await bus.messages.publish(sent);
    await eventually(() => chat.deliveries.length === 1 && audit.deliveries.length === 1);
    await bus.deadLetters.store('chat', sent, 8, { code: 'HYD_DESTINATION_FAILED', detail: '' });
    const [letter] = await bus.deadLetters.of('chat').list(1);
    assert.equal(await bus.deadLetters.of('chat').replay(letter?.sequence ?? 0), true);
    const replayed = await eventually(() => chat.deliveries[1] ?? false);
    assert.deepEqual(
      [replayed.id, replayed.attempt, replayed.isReplay, replayed.callbackUrl, replayed.endpoint],
      [sent.id, 1, true, sent.callbackUrl, sent.endpoint],
    );
    await holds(() => audit.deliveries.length === 1, 150);
    assert.deepEqual(await bus.deadLetters.of('chat').list(10), []);
    assert.equal(await bus.deadLetters.of('chat').replay(letter?.sequence ?? 0), false);
    await eventually(async () => assert.deepEqual(await audit.consumption.lag(), { pending: 0, unacknowledged: 0 }));
  });

  test('refuses to replay a letter that its processor would not receive, and keeps it', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus, { processor: 'chat', endpoints: ['/chat'] });
    for (const processor of ['gone', 'chat']) {
      const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
      await bus.deadLetters.store(processor, message({ endpoint: '/feed' }), 1, cause);
      const [letter] = await bus.deadLetters.of(processor).list(1);
      await assert.rejects(bus.deadLetters.of(processor).replay(letter?.sequence ?? 0), { code: 'HYD_NOT_READY' });
      assert.equal((await bus.deadLetters.of(processor).list(1)).length, 1);
    }
  });

  test('refuses a dead letter while the server is down, and to list', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await collect(bus);
    const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    await assert.rejects(bus.deadLetters.of('chat').list(1), { code: 'HYD_BUS_UNREACHABLE' });
    assert.equal(await bus.deadLetters.store('chat', message(), 1, cause), 'refused');
    await environment.setDown(false);
    await eventually(async () => (await bus.deadLetters.store('chat', message(), 1, cause)) === 'stored');
    assert.equal((await bus.deadLetters.of('chat').list(10)).length, 1);
  });

  test('rejects a dead letter when the bus has stopped', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    await bus.stop();
    const stored = bus.deadLetters.store('chat', message(), 1, { code: 'HYD_NO_RULE_MATCHED', detail: '' });
    await assert.rejects(stored, { code: 'HYD_BUS_STOPPED' });
  });
}

/** The first delivery from a waiting room. */
async function fromRoom(bus: Bus, room: string): Promise<Delivery> {
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  const entered = bus.waiting.enter('chat', room, { ackTimeoutMs: 10_000, maxOpen: 1 }, resolve, () => {});
  const delivery = await promise;
  await entered.stop();
  return delivery;
}

function repetition(makeEnvironment: MakeBusEnvironment): void {
  const cause = { code: 'HYD_DESTINATION_FAILED', detail: '' };

  test('keeps one letter of a message that is delivered again, or parked, because its delivery was not ended', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const chat = await collect(bus, { ackTimeoutMs: 500 });
    await collect(bus, { processor: 'audit' });
    await bus.messages.publish(message());
    const first = await chat.delivery('hello');
    await bus.deadLetters.store('chat', first, 1, cause);
    const second = await chat.delivery('hello', 2);
    await bus.deadLetters.store('chat', second, 2, cause);
    await bus.deadLetters.store('audit', second, 2, cause);
    await bus.waiting.park('chat', 'full', second, { attempts: 2, dueAtMs: 0, cause });
    const parked = await fromRoom(bus, 'full');
    await bus.deadLetters.store('chat', parked, 2, cause);
    assert.equal((await bus.deadLetters.of('chat').list(10)).length, 1);
    assert.equal((await bus.deadLetters.of('audit').list(10)).length, 1);
  });

  test('keeps a letter again when its replay ends as a dead letter too', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const chat = await collect(bus);
    const letters = bus.deadLetters.of('chat');
    await bus.messages.publish(message());
    for (let deaths = 1; deaths <= 3; deaths++) {
      const delivery = await eventually(() => chat.deliveries[deaths - 1] ?? false);
      await bus.deadLetters.store('chat', delivery, 1, cause);
      delivery.term('dead');
      const [letter, ...others] = await letters.list(10);
      assert.ok(letter !== undefined && others.length === 0);
      await letters.replay(letter.sequence);
    }
  });

  test('delivers a letter once that is replayed twice before it is removed', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const chat = await collect(bus, {}, ack);
    await bus.deadLetters.store('chat', message(), 1, cause);
    const letters = bus.deadLetters.of('chat');
    const [letter] = await letters.list(1);
    const replay = (): Promise<boolean> => letters.replay(letter?.sequence ?? 0);
    const outcomes = await Promise.all([replay(), replay()]);
    assert.ok(outcomes.includes(true));
    await bus.messages.publish(message({ payload: Buffer.from('later') }));
    await chat.delivery('later');
    assert.deepEqual(chat.texts(), ['hello', 'later']);
    assert.deepEqual(await letters.list(1), []);
  });
}
