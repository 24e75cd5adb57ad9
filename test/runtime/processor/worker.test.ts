import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually, holds } from '../../kit/eventually.ts';
import { processorName, routingTo, startProcessor, textsOf } from './kit.ts';

const connection = (n: number): string => `0123456789ab-${String(n).padStart(32, '0')}`;

/** A destination that answers each request only when told. */
async function startGated() {
  const waiting: (() => void)[] = [];
  let open = 0;
  let most = 0;
  const destination = await startDestination(async () => {
    most = Math.max(most, ++open);
    await new Promise<void>((resolve) => waiting.push(resolve));
    open--;
    return {};
  });
  return {
    destination,
    get most() {
      return most;
    },
    get open() {
      return open;
    },
    /** Answers the request that has waited longest. */
    releaseOne: () => waiting.shift()?.(),
    [Symbol.asyncDispose]: () => destination[Symbol.asyncDispose](),
  };
}

test('delivers a message once and acknowledges it after the 2xx', async () => {
  await using gated = await startGated();
  await using kit = await startProcessor(gated.destination.url);
  const id = await kit.send(connection(1), 'hello');
  await eventually(() => gated.open === 1);
  assert.equal(kit.stored(), 1);
  gated.releaseOne();
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(gated.destination.requests), ['hello']);
  assert.equal(gated.destination.requests[0]?.headers['hydrogen-message-id'], id);
  const [facts] = kit.recorded.consumed;
  assert(facts !== undefined && facts.durationMs >= 0);
  assert.deepEqual(
    { ...facts, durationMs: 0 },
    { messageId: id, connectionId: connection(1), endpoint: '/chat', rule: 'all', attempt: 1, durationMs: 0 },
  );
});

test('delivers the messages of a connection one after another, in order', async () => {
  await using gated = await startGated();
  await using kit = await startProcessor(gated.destination.url);
  const texts = Array.from({ length: 10 }, (_, i) => `text ${i}`);
  for (const text of texts) await kit.send(connection(1), text);
  for (let i = 1; i <= texts.length; i++) {
    await eventually(() => gated.destination.requests.length === i);
    gated.releaseOne();
  }
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(gated.destination.requests), texts);
  assert.equal(gated.most, 1);
});

test('delivers different connections side by side, at most maxInFlight at once', async () => {
  await using gated = await startGated();
  await using kit = await startProcessor(gated.destination.url, { spec: { delivery: { maxInFlight: 4 } } });
  for (let i = 0; i < 20; i++) await kit.send(connection(i), 'hello');
  await eventually(() => gated.open === 4);
  await holds(() => gated.open === 4 && kit.worker.running === 4, 50);
  while (kit.stored() > 0) {
    gated.releaseOne();
    await new Promise(setImmediate);
  }
  assert.equal(gated.destination.requests.length, 20);
  assert.equal(gated.most, 4);
});

test('continues with the next message of a connection after one that will be retried', async () => {
  await using destination = await startDestination((request) =>
    request.json().message === 'first' && request.headers['hydrogen-attempt'] === '1' ? { status: 503 } : {},
  );
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'first');
  await kit.send(connection(1), 'second');
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(destination.requests), ['first', 'second', 'first']);
});

test('keeps order through retries when ordering is PerConnection', async () => {
  await using destination = await startDestination((request) =>
    request.json().message === 'first' && request.headers['hydrogen-attempt'] !== '3' ? { status: 503 } : {},
  );
  await using kit = await startProcessor(destination.url, { spec: { delivery: { ordering: 'PerConnection' } } });
  await kit.send(connection(1), 'first');
  await kit.send(connection(1), 'second');
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(textsOf(destination.requests), ['first', 'first', 'first', 'second']);
});

test('retries with the same message id and the next attempt number', async () => {
  await using destination = await startDestination((request) =>
    request.headers['hydrogen-attempt'] === '3' ? {} : { status: 500 },
  );
  await using kit = await startProcessor(destination.url);
  const id = await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  const sent = destination.requests.map(({ headers }) => [headers['hydrogen-message-id'], headers['hydrogen-attempt']]);
  assert.deepEqual(sent, [
    [id, '1'],
    [id, '2'],
    [id, '3'],
  ]);
  assert.deepEqual(
    kit.recorded.retried.map(({ code, status, attempt }) => ({ code, status, attempt })),
    [1, 2].map((attempt) => ({ code: 'HYD_DESTINATION_FAILED', status: 500, attempt })),
  );
});

test('waits for Retry-After before it retries', async () => {
  await using destination = await startDestination((request) =>
    request.headers['hydrogen-attempt'] === '1' ? { status: 429, headers: { 'retry-after': '1' } } : {},
  );
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  const [first, second] = destination.requests;
  assert(first !== undefined && second !== undefined);
  assert(second.receivedAtMs - first.receivedAtMs >= 950, `${second.receivedAtMs - first.receivedAtMs} ms`);
});

test('dead-letters after maxAttempts, with the last cause', async () => {
  await using destination = await startDestination(() => ({ status: 404 }));
  await using kit = await startProcessor(destination.url);
  const id = await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  assert.equal(destination.requests.length, 3);
  const [letter, ...more] = await kit.bus.deadLetters.of(processorName).list(10);
  assert(letter !== undefined && more.length === 0);
  assert.equal(letter.id, id);
  assert.equal(letter.attempts, 3);
  assert.equal(letter.code, 'HYD_DESTINATION_FAILED');
  assert.equal(letter.status, 404);
  assert.equal(letter.rule, 'all');
  assert.deepEqual(JSON.parse(Buffer.from(letter.payload).toString()).message, 'hello');
  assert.equal(kit.recorded.deadLettered.length, 1);
});

test('keeps a message until its dead letter is stored', async () => {
  await using destination = await startDestination(() => ({ status: 422 }));
  let store = (): void => {};
  await using kit = await startProcessor(destination.url, {
    deadLetterAfter: new Promise<void>((resolve) => {
      store = resolve;
    }),
  });
  await kit.send(connection(1), 'hello');
  await eventually(() => destination.requests.length === 1);
  await holds(() => kit.stored() === 1 && kit.recorded.deadLettered.length === 0, 50);
  store();
  await eventually(() => kit.stored() === 0);
  assert.equal((await kit.bus.deadLetters.of(processorName).list(10)).length, 1);
});

test('dead-letters at once what the destination rejects', async () => {
  await using destination = await startDestination(() => ({ status: 422 }));
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  assert.equal(destination.requests.length, 1);
  const [letter] = await kit.bus.deadLetters.of(processorName).list(10);
  assert.equal(letter?.code, 'HYD_DESTINATION_REJECTED');
});

test('delivers a replayed dead letter with a fresh attempt count', async () => {
  await using destination = await startDestination(() => ({ status: 422 }));
  await using kit = await startProcessor(destination.url);
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.recorded.deadLettered.length === 1);
  destination.handle(() => ({}));
  const letters = kit.bus.deadLetters.of(processorName);
  const [letter] = await letters.list(1);
  assert(letter !== undefined && (await letters.replay(letter.sequence)));
  await eventually(() => kit.recorded.consumed.length === 1);
  assert.equal(destination.requests[1]?.headers['hydrogen-attempt'], '1');
});

test('dead-letters a message that no rule matches', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url, { spec: { routing: routingTo(destination.url, {}, '^!') } });
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  const [letter] = await kit.bus.deadLetters.of(processorName).list(10);
  assert.equal(letter?.code, 'HYD_NO_RULE_MATCHED');
  assert.equal(letter?.attempts, 1);
  assert.equal(destination.requests.length, 0);
});

test('drops a message that no rule matches if configured so, and reports it', async () => {
  await using destination = await startDestination();
  const routing = { ...routingTo(destination.url, {}, '^!'), unmatched: 'Drop' as const };
  await using kit = await startProcessor(destination.url, { spec: { routing } });
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.stored() === 0);
  assert.equal(kit.recorded.dropped.length, 1);
  assert.deepEqual(await kit.bus.deadLetters.of(processorName).list(10), []);
  assert.equal(destination.requests.length, 0);
});

test('dead-letters an unreadable payload at once when a rule has to read it', async () => {
  await using destination = await startDestination();
  await using kit = await startProcessor(destination.url, { spec: { routing: routingTo(destination.url, {}, '^!') } });
  await kit.bus.messages.publish({
    id: 'broken',
    connectionId: connection(1),
    endpoint: '/chat',
    callbackUrl: '',
    payload: Buffer.from('not JSON'),
  });
  await eventually(() => kit.stored() === 0);
  const [letter] = await kit.bus.deadLetters.of(processorName).list(10);
  assert.equal(letter?.code, 'HYD_MESSAGE_UNREADABLE');
});

test('does not redeliver what a slow destination or a predecessor holds up, and reports it at work', async () => {
  await using gated = await startGated();
  await using kit = await startProcessor(gated.destination.url, { spec: { delivery: { ackTimeoutSeconds: 0.15 } } });
  const slow = await kit.send(connection(1), 'slow');
  const queued = await kit.send(connection(1), 'queued');
  await eventually(() => (kit.worked.get(slow) ?? 0) >= 8 && (kit.worked.get(queued) ?? 0) >= 8);
  assert.equal(gated.destination.requests.length, 1);
  gated.releaseOne();
  await eventually(() => gated.destination.requests.length === 2);
  gated.releaseOne();
  await eventually(() => kit.stored() === 0);
  assert.deepEqual(
    kit.recorded.consumed.map(({ attempt }) => attempt),
    [1, 1],
  );
});

test('sends a reply to the client that sent the message', async () => {
  await using destination = await startDestination(() => ({ body: 'pong' }));
  const routing = routingTo(destination.url, { reply: true });
  await using kit = await startProcessor(destination.url, { spec: { routing } });
  await kit.send(connection(1), 'ping');
  await eventually(() => kit.pushed.length === 1);
  assert.deepEqual(kit.pushed, [{ connectionId: connection(1), data: 'pong', isBinary: false }]);
  destination.handle(() => ({ body: 'raw', headers: { 'content-type': 'application/octet-stream' } }));
  await kit.send(connection(2), 'ping');
  await eventually(() => kit.pushed.length === 2);
  assert.deepEqual(kit.pushed[1], { connectionId: connection(2), data: 'raw', isBinary: true });
});

for (const result of ['gone', 'cutOff'] as const) {
  test(`does not deliver again because a reply is ${result}`, async () => {
    await using destination = await startDestination(() => ({ body: 'pong' }));
    const routing = routingTo(destination.url, { reply: true });
    await using kit = await startProcessor(destination.url, { spec: { routing }, push: async () => result });
    await kit.send(connection(1), 'ping');
    await eventually(() => kit.recorded.repliesLost.length === 1);
    assert.equal(kit.recorded.repliesLost[0], result);
    assert.equal(kit.recorded.consumed.length, 1);
    assert.equal(kit.stored(), 0);
  });
}

test('consumes a message whose reply breaks off, and reports the reply as lost', async () => {
  await using destination = await startDestination((_request, response) => {
    response.writeHead(200, { 'content-length': '9' }).write('half', () => response.socket?.resetAndDestroy());
    return 'handled';
  });
  const routing = routingTo(destination.url, { reply: true });
  await using kit = await startProcessor(destination.url, { spec: { routing } });
  await kit.send(connection(1), 'ping');
  await eventually(() => kit.recorded.repliesLost.length === 1);
  assert.equal(kit.recorded.repliesLost[0], 'bodyIncomplete');
  assert.equal(kit.stored(), 0);
  assert.equal(destination.requests.length, 1);
  assert.deepEqual(kit.pushed, []);
});

test('retries while a secret is missing', async () => {
  await using destination = await startDestination();
  let isMounted = false;
  const headers = ['x-key', 'k'];
  await using kit = await startProcessor(destination.url, {
    spec: { delivery: { maxAttempts: 100 } },
    resolveHeaders: () => {
      if (!isMounted) throw new HydrogenError('HYD_SECRET_MISSING', 'secret a, key b');
      return headers;
    },
  });
  await kit.send(connection(1), 'hello');
  await eventually(() => kit.recorded.retried.length > 0);
  assert.equal(kit.recorded.retried[0]?.code, 'HYD_SECRET_MISSING');
  isMounted = true;
  await eventually(() => kit.stored() === 0);
  assert.equal(destination.requests[0]?.headers['x-key'], 'k');
});
