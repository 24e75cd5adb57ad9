import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DestinationHandler, startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { processorName, startProcessor, textsOf } from './kit.ts';

const connectionId = `0123456789ab-${'0'.repeat(32)}`;

async function startWithEngine(
  handler: DestinationHandler,
  options: { reply?: boolean; timeoutSeconds?: number } = {},
) {
  const engine = await startDestination(handler);
  const rulesEngine = {
    url: engine.url,
    headers: [{ name: 'x-engine-key', value: 'k' }],
    timeoutSeconds: options.timeoutSeconds ?? 5,
    allowedHosts: ['127.0.0.1'],
    reply: options.reply ?? false,
    destinationTimeoutSeconds: 5,
  };
  const kit = await startProcessor(engine.url, { spec: { routing: { rulesEngine, unmatched: 'DeadLetter' } } });
  return {
    engine,
    kit,
    [Symbol.asyncDispose]: async () => {
      await kit[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

test('delivers where the rules engine says, with its headers and not those of the engine', async () => {
  await using destination = await startDestination(() => ({ body: 'pong' }));
  const answer = JSON.stringify({ endpoint: destination.url, headers: { 'X-Tenant': 't1' } });
  await using test = await startWithEngine(() => ({ body: answer }), { reply: true });
  const id = await test.kit.send(connectionId, 'ping');
  await eventually(() => test.kit.pushed.length === 1);
  const [asked] = test.engine.requests;
  const [delivered] = destination.requests;
  assert(asked !== undefined && delivered !== undefined);
  assert.deepEqual(asked.body, delivered.body);
  assert.equal(asked.headers['x-engine-key'], 'k');
  assert.equal(asked.headers['hydrogen-message-id'], id);
  assert.equal(delivered.headers['x-engine-key'], undefined);
  assert.equal(delivered.headers['x-tenant'], 't1');
  assert.equal(delivered.headers['hydrogen-message-id'], id);
  const traceOf = (header: unknown): unknown => String(header).split('-')[1];
  assert.equal(traceOf(asked.headers.traceparent), traceOf(delivered.headers.traceparent));
  assert.equal(test.kit.recorded.consumed[0]?.rule, 'rulesEngine');
});

const failures: Readonly<Record<string, { handler: DestinationHandler; code: string; timeoutSeconds?: number }>> = {
  'answers 500': { handler: () => ({ status: 500 }), code: 'HYD_RULES_ENGINE_FAILED' },
  'answers 422': { handler: () => ({ status: 422 }), code: 'HYD_RULES_ENGINE_FAILED' },
  'answers 204': { handler: () => ({ status: 204 }), code: 'HYD_RULES_ENGINE_FAILED' },
  redirects: { handler: () => ({ status: 307, headers: { location: '/' } }), code: 'HYD_RULES_ENGINE_FAILED' },
  'answers garbage': { handler: () => ({ body: '<html>' }), code: 'HYD_RULES_ENGINE_FAILED' },
  'answers 10 MB': { handler: () => ({ body: Buffer.alloc(10_000_000, 32) }), code: 'HYD_ANSWER_TOO_LARGE' },
  'never answers': { handler: () => 'handled', code: 'HYD_RULES_ENGINE_FAILED', timeoutSeconds: 0.05 },
  'names a forbidden host': {
    handler: () => ({ body: '{"endpoint":"http://localhost/"}' }),
    code: 'HYD_HOST_FORBIDDEN',
  },
  'names a file': { handler: () => ({ body: '{"endpoint":"file:///etc/passwd"}' }), code: 'HYD_HOST_FORBIDDEN' },
  'breaks off': {
    handler: (_request, response) => {
      response.writeHead(200, { 'content-length': '9' }).write('{', () => response.socket?.resetAndDestroy());
      return 'handled';
    },
    code: 'HYD_RULES_ENGINE_FAILED',
  },
};

for (const [what, { handler, code, timeoutSeconds = 5 }] of Object.entries(failures)) {
  test(`retries, then dead-letters, when the rules engine ${what}`, async () => {
    await using test = await startWithEngine(handler, { timeoutSeconds });
    await test.kit.send(connectionId, 'hello');
    await eventually(() => test.kit.recorded.deadLettered.length === 1);
    assert.deepEqual(
      test.kit.recorded.retried.map(({ code }) => code),
      [code, code],
    );
    const [letter] = await test.kit.bus.deadLetters.of(processorName).list(1);
    assert.equal(letter?.code, code);
    assert.equal(letter?.attempts, 3);
  });
}

test('consumes once the rules engine has recovered', async () => {
  await using destination = await startDestination();
  await using test = await startWithEngine((request) =>
    request.headers['hydrogen-attempt'] === '1'
      ? { status: 503 }
      : { body: JSON.stringify({ endpoint: destination.url }) },
  );
  await test.kit.send(connectionId, 'hello');
  await eventually(() => test.kit.stored() === 0);
  assert.deepEqual(textsOf(destination.requests), ['hello']);
});
