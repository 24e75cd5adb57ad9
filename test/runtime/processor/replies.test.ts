import assert from 'node:assert/strict';
import test from 'node:test';

import type { PushReply } from '../../../runtime/processor/reply-lines.ts';
import type { ReplyOutcome } from '../../../runtime/role/events.ts';
import { startDestination, type TestDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { routingTo, startProcessor, type TestProcessor, textsOf } from './kit.ts';

const connection = (n: number): string => `0123456789ab-${String(n).padStart(32, '0')}`;

/** Gateways that answer when the test says so. */
class Gateways {
  /** What was sent to clients. */
  readonly texts: string[] = [];
  #open: ((outcome: ReplyOutcome) => void)[] = [];

  readonly push: PushReply = (_connectionId, data) => {
    this.texts.push(Buffer.from(data).toString());
    return new Promise((resolve) => this.#open.push(resolve));
  };

  answerAll(): void {
    for (const resolve of this.#open) resolve('sent');
    this.#open = [];
  }
}

interface Echo extends AsyncDisposable {
  readonly destination: TestDestination;
  readonly gateways: Gateways;
  readonly kit: TestProcessor;
}

async function startEcho(body = (text: string): string => text): Promise<Echo> {
  await using stack = new AsyncDisposableStack();
  const destination = stack.use(await startDestination((request) => ({ body: body(String(request.json().message)) })));
  const gateways = new Gateways();
  const routing = routingTo(destination.url, { reply: true });
  const kit = stack.use(await startProcessor(destination.url, { spec: { routing }, push: gateways.push }));
  const parts = stack.move();
  return { destination, gateways, kit, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('messages of a connection do not wait for replies on their way, and replies keep their order', async () => {
  await using echo = await startEcho();
  const { destination, gateways, kit } = echo;
  for (const text of ['a', 'b', 'c']) await kit.send(connection(1), text);
  await eventually(() => kit.recorded.consumed.length === 3);
  assert.deepEqual(textsOf(destination.requests), ['a', 'b', 'c']);
  assert.deepEqual(gateways.texts, ['a']);
  gateways.answerAll();
  await eventually(() => gateways.texts.length === 3);
  assert.deepEqual(gateways.texts, ['a', 'b', 'c']);
  gateways.answerAll();
});

test('a reply on its way takes no place from other connections', async () => {
  await using echo = await startEcho();
  for (let i = 0; i < 40; i++) await echo.kit.send(connection(i), `${i}`);
  await eventually(() => echo.kit.recorded.consumed.length === 40);
  echo.gateways.answerAll();
});

for (const [what, body, most] of [
  ['many replies', 'x', 64],
  ['large replies', 'x'.repeat(300_000), 4],
] as const) {
  test(`a connection waits for ${what} without an outcome, and others do not`, async () => {
    await using echo = await startEcho(() => body);
    const { gateways, kit } = echo;
    for (let i = 0; i < most + 3; i++) await kit.send(connection(1), `${i}`);
    await eventually(() => kit.recorded.consumed.length === most);
    await kit.send(connection(2), 'other');
    await eventually(() => kit.recorded.consumed.length === most + 1);
    assert.equal(kit.recorded.consumed.at(-1)?.connectionId, connection(2));
    await eventually(() => {
      gateways.answerAll();
      return gateways.texts.length === most + 4;
    });
    gateways.answerAll();
  });
}

test('a stop waits for the outcome of replies', async () => {
  await using echo = await startEcho();
  const { gateways, kit } = echo;
  for (const text of ['a', 'b']) await kit.send(connection(1), text);
  await eventually(() => kit.recorded.consumed.length === 2);
  let isStopped = false;
  const stopped = kit.worker.stop({ graceMs: 5000 }).then(() => {
    isStopped = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(isStopped, false);
  gateways.answerAll();
  await eventually(() => gateways.texts.length === 2);
  gateways.answerAll();
  await stopped;
});
