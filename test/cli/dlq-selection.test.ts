import assert from 'node:assert/strict';
import test from 'node:test';
import { type Choice, choiceOf, chosenLetters, filterOf, matchingLetters } from '../../cli/dlq-selection.ts';
import { createMemoryBroker } from '../../runtime/bus/memory/memory.ts';
import type { DeadLetter, DeadLetters } from '../../runtime/bus/port/dead-letters.ts';

const nowMs = 1_000_000_000;
const hourMs = 3_600_000;

function letter(fields: Partial<DeadLetter> = {}): DeadLetter {
  return {
    sequence: 1,
    id: 'm',
    connectionId: 'c',
    endpoint: '/chat',
    callbackUrl: '',
    payload: new Uint8Array(0),
    attempts: 1,
    diedAtMs: nowMs - hourMs,
    code: 'HYD_DESTINATION_REJECTED',
    detail: '',
    rule: 'orders',
    ...fields,
  };
}

test('a letter matches when everything that was asked for applies', () => {
  const cases: readonly [Parameters<typeof filterOf>[0], Partial<DeadLetter>, boolean][] = [
    [{ rule: 'orders' }, {}, true],
    [{ rule: 'orders' }, { rule: 'order' }, false],
    [{ reason: 'HYD_DESTINATION_REJECTED' }, {}, true],
    [{ reason: 'HYD_DESTINATION_REJECTED' }, { code: 'HYD_NO_RULE_MATCHED' }, false],
    [{ olderThan: hourMs - 1 }, {}, true],
    [{ olderThan: hourMs + 1 }, {}, false],
    [{ newerThan: hourMs + 1 }, {}, true],
    [{ newerThan: hourMs - 1 }, {}, false],
    [{ olderThan: hourMs - 1, newerThan: hourMs + 1 }, {}, true],
    [{ rule: 'orders', reason: 'HYD_DESTINATION_REJECTED', olderThan: hourMs + 1 }, {}, false],
  ];
  for (const [options, fields, isMatch] of cases) {
    const filter = filterOf(options, nowMs);
    assert.ok(typeof filter === 'function');
    assert.equal(filter(letter(fields)), isMatch, JSON.stringify([options, fields]));
  }
  const { rule: _, ...unmatched } = letter();
  const filter = filterOf({ rule: 'orders' }, nowMs);
  assert.ok(typeof filter === 'function' && !filter(unmatched));
});

test('letters are chosen in exactly one way', () => {
  assert.deepEqual(choiceOf([7, 3, 7], {}, nowMs), { kind: 'numbered', sequences: [3, 7] });
  assert.deepEqual(choiceOf([], { all: true }, nowMs), { kind: 'all' });
  const filtered = choiceOf([], { rule: 'a' }, nowMs);
  assert.ok(typeof filtered === 'object' && filtered.kind === 'filtered');
  for (const [sequences, options] of [
    [[], {}],
    [[1], { all: true }],
    [[1], { rule: 'a' }],
    [[], { all: true, olderThan: 1 }],
  ] as const) {
    assert.match(String(choiceOf(sequences, options, nowMs)), /^choose letters in one way/);
  }
  assert.match(String(choiceOf([], { olderThan: hourMs, newerThan: hourMs }, nowMs)), /^no letter can match/);
});

test('finds letters over any number of pages, oldest first, up to a limit', async () => {
  const broker = createMemoryBroker();
  const bus = broker.connect();
  await bus.start();
  for (let n = 0; n < 250; n++) {
    const message = { ...letter(), id: `m${n}`, isReplay: false, storedAtMs: n };
    const cause = { code: 'HYD_DESTINATION_REJECTED', detail: '', rule: n % 5 === 0 ? 'rare' : 'often' };
    await bus.deadLetters.store('chat', message, 1, cause);
  }
  const letters: DeadLetters = bus.deadLetters.of('chat');
  const rare = filterOf({ rule: 'rare' }, Date.now());
  assert.ok(typeof rare === 'function');
  const ids = async (choice: Choice): Promise<string[]> => (await chosenLetters(letters, choice)).map(({ id }) => id);
  const everyFifth = Array.from({ length: 50 }, (_, n) => `m${n * 5}`);
  assert.deepEqual(await ids({ kind: 'filtered', filter: rare }), everyFifth);
  assert.equal((await ids({ kind: 'all' })).length, 250);
  const [first, second] = await matchingLetters(letters, undefined, 2, 248);
  assert.deepEqual([first?.id, second?.id], ['m248', 'm249']);
  assert.equal((await matchingLetters(letters, rare, 3, 100)).length, 3);
  assert.deepEqual(await matchingLetters(letters, undefined, 0), []);
  await assert.rejects(chosenLetters(letters, { kind: 'numbered', sequences: [1, 999] }), {
    code: 'HYD_DEAD_LETTER_MISSING',
  });
  await bus.stop();
});
