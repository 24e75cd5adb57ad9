/** Keys behind a URL, with the real jose and a fetch whose answers the test decides. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { HydrogenError } from '../../../runtime/errors.ts';
import { isKeyUnknown, RemoteKeys } from '../../../runtime/jwt/keys.ts';
import { eventually } from '../../kit/eventually.ts';
import { startIssuer } from '../../kit/issuer.ts';

const asked = (kid: string) =>
  [
    { alg: 'RS256', kid },
    { payload: '', signature: '' },
  ] as const;
const away = new HydrogenError('HYD_AUTHORIZER_UNAVAILABLE', 'away');
const isAway = (error: unknown): boolean => error === away;

async function setUp() {
  const issuer = await startIssuer();
  const state = { fetches: 0, isAway: false, hold: Promise.resolve() };
  const failures: (HydrogenError | undefined)[] = [];
  const keys = new RemoteKeys(
    async () => {
      state.fetches += 1;
      await state.hold;
      if (state.isAway) throw away;
      return JSON.stringify(issuer.keySet());
    },
    (error) => void failures.push(error),
  );
  return { issuer, state, failures, keys, [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose]() };
}

/** Runs with a monotonic clock that a test moves. */
function movedClock(context: test.TestContext): (ms: number) => void {
  let movedMs = 0;
  const now = performance.now.bind(performance);
  context.mock.method(performance, 'now', () => now() + movedMs);
  return (ms) => {
    movedMs += ms;
  };
}

test('a thousand who wait for the keys cause one request', async () => {
  await using setup = await setUp();
  const { keys, state } = setup;
  const answer = Promise.withResolvers<void>();
  state.hold = answer.promise;
  const waiting = Array.from({ length: 1_000 }, () => keys.find(300, ...asked('RS256-0')));
  answer.resolve();
  await Promise.all(waiting);
  assert.equal(state.fetches, 1);
});

test('keys are fetched again once they are too old, and stay in use while the issuer is away', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, state } = setup;
  await keys.find(300, ...asked('RS256-0'));
  move(301_000);
  await keys.find(300, ...asked('RS256-0'));
  assert.equal(state.fetches, 2);
  state.isAway = true;
  for (let hour = 0; hour < 3; hour++) {
    move(3_600_000);
    await keys.find(300, ...asked('RS256-0'));
  }
  assert.equal(state.fetches, 5);
});

test('nobody waits for an issuer that is known to be away', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, state } = setup;
  await keys.find(300, ...asked('RS256-0'));
  state.isAway = true;
  move(301_000);
  await keys.find(300, ...asked('RS256-0'));
  move(3_000);
  state.hold = new Promise(() => {});
  await keys.find(300, ...asked('RS256-0'));
  assert.equal(state.fetches, 3);
});

test('a rotated key is fetched when the first token names it', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, issuer, state } = setup;
  await keys.find(300, ...asked('RS256-0'));
  await issuer.rotate();
  move(11_000);
  await keys.find(300, ...asked('RS256-1'));
  await assert.rejects(keys.find(300, ...asked('RS256-0')), isKeyUnknown);
  assert.equal(state.fetches, 2);
});

test('tokens with invented key ids cause a request every ten seconds, and no more', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, state } = setup;
  for (let second = 0; second < 60; second++) {
    for (let token = 0; token < 20; token++) {
      await assert.rejects(keys.find(300, ...asked(`invented-${second}-${token}`)), isKeyUnknown);
    }
    move(1_000);
  }
  assert.ok(state.fetches <= 7, `${state.fetches}`);
});

test('an unknown key of an issuer that is away is no verdict, and a key that is known still is', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, state, failures } = setup;
  await keys.find(300, ...asked('RS256-0'));
  state.isAway = true;
  move(11_000);
  await assert.rejects(keys.find(300, ...asked('RS256-1')), isAway);
  await keys.find(300, ...asked('RS256-0'));
  assert.deepEqual(failures, [undefined, away]);
});

test('without any key everybody gets the failure, and the issuer a request every two seconds', async (context) => {
  const move = movedClock(context);
  await using setup = await setUp();
  const { keys, state } = setup;
  state.isAway = true;
  for (let token = 0; token < 100; token++) await assert.rejects(keys.find(300, ...asked('RS256-0')), isAway);
  assert.equal(state.fetches, 1);
  state.isAway = false;
  move(2_100);
  await keys.find(300, ...asked('RS256-0'));
});

test('an answer that is no key set is a failure that forgets no keys', async (context) => {
  const move = movedClock(context);
  await using issuer = await startIssuer();
  const answers = [JSON.stringify(issuer.keySet()), '<html>', '[]', '{"keys":{}}', '{"keys":[7]}', 'null', ''];
  const failures: (HydrogenError | undefined)[] = [];
  const keys = new RemoteKeys(
    async () => answers.shift() ?? '',
    (error) => void failures.push(error),
  );
  for (let answer = 0; answer < 7; answer++) {
    await keys.find(300, ...asked('RS256-0'));
    await eventually(() => failures.length === answer + 1);
    move(301_000);
  }
  assert.deepEqual(
    failures.map((failure) => failure?.code),
    [undefined, ...Array(6).fill('HYD_AUTHORIZER_UNAVAILABLE')],
  );
});
