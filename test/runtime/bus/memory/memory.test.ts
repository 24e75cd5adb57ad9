import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryBroker } from '../../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import { collect, message } from '../../../contract/bus/kit.ts';
import { busContract } from '../../../contract/bus/suite.ts';
import { eventually } from '../../../kit/eventually.ts';

busContract('memory', async (options = {}) => {
  const broker = createMemoryBroker(options);
  const buses: Bus[] = [];
  return {
    bus: () => {
      const bus = broker.connect();
      buses.push(bus);
      return bus;
    },
    setDown: async (isDown) => broker.setDown(isDown),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(buses.map((bus) => bus.stop()));
    },
  };
});

test('the memory broker keeps a message only while a consumer needs it', async () => {
  const broker = createMemoryBroker();
  const bus = broker.connect();
  await bus.start();
  const published = bus.messages.publish(message());
  assert.equal(broker.stored.messages, 0);
  const got = await collect(bus);
  await published;
  assert.deepEqual(broker.stored, { messages: 1, bytes: 5 });
  (await got.delivery('hello')).ack();
  await eventually(() => broker.stored.messages === 0 && broker.stored.bytes === 0);
  await bus.stop();
});

test('the memory broker keeps dead letters up to its limit and refuses the next one', async () => {
  const broker = createMemoryBroker({ maxDeadLetters: 1 });
  const bus = broker.connect();
  await bus.start();
  const cause = { code: 'HYD_NO_RULE_MATCHED', detail: '' };
  await bus.deadLetters.store('chat', message(), 1, cause);
  assert.equal(await bus.deadLetters.store('chat', message(), 1, cause), 'refused');
  assert.equal(await bus.deadLetters.of('chat').purge(), 1);
  assert.equal(await bus.deadLetters.store('chat', message(), 1, cause), 'stored');
  await bus.stop();
});
