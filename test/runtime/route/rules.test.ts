import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rule } from '../../../crds/index.ts';
import { HydrogenError } from '../../../runtime/errors.ts';
import { createRouter, type Route } from '../../../runtime/processor/router.ts';
import { deliveryOf, routerDeps, textPayload } from './kit.ts';

function ruleOf(name: string, pattern: string, destination: Partial<Rule['destination']> = {}): Rule {
  return {
    name,
    pattern,
    destination: { url: `http://${name}/`, headers: [], timeoutSeconds: 10, reply: false, ...destination },
  };
}

function route(rules: readonly Rule[], payload: string | Uint8Array): Route {
  const decided = createRouter({ rules }, routerDeps()).route(deliveryOf(payload));
  assert(!(decided instanceof Promise), 'rules decide at once');
  return decided;
}

function ruleFor(rules: readonly Rule[], message: string): string | undefined {
  const decided = route(rules, textPayload(message));
  return decided.kind === 'destination' ? decided.rule : undefined;
}

test('takes the first rule that matches, in order', () => {
  const rules = [ruleOf('commands', '^!'), ruleOf('short', '^.{0,5}$'), ruleOf('rest', '.*')];
  assert.equal(ruleFor(rules, '!help'), 'commands');
  assert.equal(ruleFor(rules, 'hello'), 'short');
  assert.equal(ruleFor(rules, 'hello world'), 'rest');
});

test('finds a pattern anywhere in the text unless it is anchored', () => {
  assert.equal(ruleFor([ruleOf('a', 'needle')], 'hay needle hay'), 'a');
  assert.equal(ruleFor([ruleOf('a', '^needle$')], 'hay needle hay'), undefined);
});

test('matches only the message, not the rest of the payload', () => {
  assert.equal(ruleFor([ruleOf('a', 'authorizer')], 'hello'), undefined);
  assert.equal(ruleFor([ruleOf('a', '^"quoted"\n')], '"quoted"\n'), 'a');
});

test('matches the base64 of a binary frame', () => {
  const payload = JSON.stringify({ message: Buffer.from('hello').toString('base64'), message_encoding: 'base64' });
  assert.equal(route([ruleOf('a', '^aGVsbG8=$')], payload).kind, 'destination');
});

test('reports unmatched when no rule matches', () => {
  assert.deepEqual(route([ruleOf('a', '^x')], textPayload('y')), { kind: 'unmatched' });
});

test('prepares the destination of a rule with its headers, time limit and reply', () => {
  const headers = [{ name: 'X-Tier', value: 'gold' }];
  const decided = route([ruleOf('a', '.*', { headers, timeoutSeconds: 3, reply: true })], textPayload('x'));
  assert(decided.kind === 'destination');
  const { service, reply } = decided.destination;
  assert.deepEqual(
    [decided.rule, service.target, service.timeoutMs, reply],
    ['a', { origin: 'http://a', path: '/' }, 3_000, true],
  );
  assert.deepEqual(service.headers('m-1', '', '').slice(-2), ['X-Tier', 'gold']);
});

for (const payload of [
  '',
  'nonsense',
  'null',
  '[]',
  '"message"',
  '{}',
  '{"message":1}',
  new Uint8Array([0xff, 0x00]),
]) {
  test(`fails a message whose payload is ${JSON.stringify(payload)}, once a rule has to read it`, () => {
    const decided = route([ruleOf('a', '^x')], payload);
    assert(decided.kind === 'failed');
    assert.equal(decided.code, 'HYD_MESSAGE_UNREADABLE');
    assert.equal(route([ruleOf('a', '.*')], payload).kind, 'destination');
  });
}

test('refuses a bad pattern, naming the rule and the reason', () => {
  assert.throws(
    () => createRouter({ rules: [ruleOf('fine', '.*'), ruleOf('broken', 'a(b')] }, routerDeps()),
    (err) =>
      err instanceof HydrogenError &&
      err.code === 'HYD_CONFIG_INVALID' &&
      /rule 2 \(broken\).*"a\(b".*missing closing \)/.test(err.message),
  );
});

test('names the rule whose destination is refused', () => {
  const rules = [ruleOf('a', '.*', { url: 'ftp://a/' })];
  assert.throws(() => createRouter({ rules }, routerDeps()), /rule 1 \(a\).*must have an http or https URL/);
});

test('requires exactly one of rules and rulesEngine', () => {
  const rulesEngine = {
    url: 'http://e/',
    headers: [],
    timeoutSeconds: 1,
    allowedHosts: ['a'],
    reply: false,
    destinationTimeoutSeconds: 1,
  };
  for (const routing of [{}, { rules: [ruleOf('a', '.*')], rulesEngine }]) {
    assert.throws(
      () => createRouter(routing, routerDeps()),
      (err) => err instanceof HydrogenError && err.code === 'HYD_CONFIG_INVALID',
    );
  }
});

test('decides a hostile message quickly', () => {
  const startedMs = performance.now();
  assert.equal(ruleFor([ruleOf('a', '(a+)+$')], `${'a'.repeat(200_000)}b`), undefined);
  assert(performance.now() - startedMs < 2_000);
});
