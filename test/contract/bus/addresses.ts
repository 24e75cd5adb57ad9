/** The bus contract: what is asked of users, channels and all instances. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../kit/eventually.ts';
import { type MakeBusEnvironment, startBus, text } from './kit.ts';

export function busAddresses(makeEnvironment: MakeBusEnvironment): void {
  test('hands what is asked of an address to those that listen to it, the asker included, and brings back each answer', async () => {
    await using environment = await makeEnvironment();
    const [first, second, third] = [
      await startBus(environment),
      await startBus(environment),
      await startBus(environment),
    ];
    const heard: string[] = [];
    const room = { kind: 'channel', name: 'room 1.*.>' } as const;
    for (const [name, bus] of Object.entries({ first, second })) {
      bus.peers.listen(room, (payload, respond) => {
        heard.push(`${name} ${text(payload)}`);
        respond(Buffer.from(`${name} begins`));
        respond(Buffer.from(`${name} ends`));
      });
    }
    third.peers.listen({ kind: 'user', name: room.name }, () => heard.push('a user of the same name'));
    third.peers.listen({ kind: 'channel', name: 'room 1' }, () => heard.push('another channel'));
    await Promise.all([first, second, third].map((bus) => bus.peers.confirm()));
    const answers: string[] = [];
    const asked = first.peers.ask(room, Buffer.from('hi'), (answer) => answers.push(text(answer)));
    await eventually(() => answers.length === 4);
    asked?.close();
    assert.deepEqual(heard.toSorted(), ['first hi', 'second hi']);
    assert.deepEqual(answers.toSorted(), ['first begins', 'first ends', 'second begins', 'second ends']);
  });

  test('hands what one process asks to each listener in this order, whatever the addresses', async () => {
    await using environment = await makeEnvironment();
    const [asker, listener] = [await startBus(environment), await startBus(environment)];
    const heard: string[] = [];
    const addresses = Array.from({ length: 5 }, (_, i) => ({ kind: 'channel', name: `c${i}` }) as const);
    for (const address of addresses) listener.peers.listen(address, (payload) => heard.push(text(payload)));
    await listener.peers.confirm();
    const sent = Array.from({ length: 200 }, (_, i) => `${i}`);
    for (const [i, body] of sent.entries()) {
      asker.peers.ask(addresses[i % 5] ?? assert.fail(), Buffer.from(body), () => {})?.close();
    }
    await eventually(() => heard.length === sent.length);
    assert.deepEqual(heard, sent);
  });

  test('hears no more of an address that was closed, and no answers after a question was', async () => {
    await using environment = await makeEnvironment();
    const [asker, listener] = [await startBus(environment), await startBus(environment)];
    const address = { kind: 'user', name: 'alice' } as const;
    const respondLater: (() => void)[] = [];
    const listening = listener.peers.listen(address, (_, respond) => {
      respondLater.push(() => respond(Buffer.from('late')));
    });
    await listener.peers.confirm();
    const answers: string[] = [];
    const asked = asker.peers.ask(address, Buffer.from('1'), (answer) => answers.push(text(answer)));
    await eventually(() => respondLater.length === 1);
    asked?.close();
    for (const respond of respondLater) respond();
    listening.close();
    await listener.peers.confirm();
    asker.peers.ask(address, Buffer.from('2'), () => {})?.close();
    // Whatever was on its way has arrived once another question has been answered.
    listener.peers.listen({ kind: 'everyone' }, (_, respond) => respond(Buffer.from('here')));
    await listener.peers.confirm();
    let isAnswered = false;
    asker.peers.ask({ kind: 'everyone' }, Buffer.from('3'), () => {
      isAnswered = true;
    });
    await eventually(() => isAnswered);
    assert.deepEqual([answers, respondLater.length], [[], 1]);
  });

  test('asks nothing of an address while the server is down, and listens again when it is back', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    const address = { kind: 'channel', name: 'x' } as const;
    bus.peers.listen(address, (payload, respond) => respond(payload));
    await environment.setDown(true);
    await eventually(() => bus.status === 'down');
    assert.equal(
      bus.peers.ask(address, Buffer.from('x'), () => assert.fail()),
      undefined,
    );
    assert.equal(await bus.peers.confirm(), false);
    await environment.setDown(false);
    let isAnswered = false;
    await eventually(() => {
      bus.peers.ask(address, Buffer.from('x'), () => {
        isAnswered = true;
      });
      return isAnswered;
    });
  });

  test('refuses a name that is none, and what is too large for it', async () => {
    await using environment = await makeEnvironment();
    const bus = await startBus(environment);
    for (const name of ['', '.', '..', 'a\n', '\u0085', 'x'.repeat(129), '\ud800']) {
      const address = { kind: 'channel', name } as const;
      assert.throws(() => bus.peers.listen(address, () => {}), { code: 'HYD_ADDRESS_INVALID' }, JSON.stringify(name));
      assert.throws(() => bus.peers.ask(address, Buffer.from('x'), () => {}), { code: 'HYD_ADDRESS_INVALID' });
    }
    const payload = Buffer.alloc(bus.peers.maxPayloadBytes + 1);
    const ask = (): unknown => bus.peers.ask({ kind: 'user', name: 'ü'.repeat(64) }, payload, () => {});
    assert.throws(ask, { code: 'HYD_MESSAGE_TOO_LARGE' });
  });
}
