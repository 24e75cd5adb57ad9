import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../runtime/gateway/ledger.ts';

function published(ledger: Ledger, positions: readonly number[], isApart = false): void {
  for (const position of positions) {
    ledger.published();
    ledger.ended(position, isApart);
  }
}

test('messages are left from the position on that the bus has answered, each kind by itself', () => {
  const ledger = new Ledger();
  published(ledger, [1, 1, 3, 5]);
  published(ledger, [2, 4], true);
  ledger.published();
  assert.equal(ledger.messages, 7);
  ledger.asking();
  ledger.answered({ position: 3, end: 6, counted: 0 }, { position: 3, end: 6, counted: 0 });
  assert.deepEqual([ledger.messages, ledger.unstored, ledger.hasApart, ledger.hasOthers], [4, 1, true, true]);
  ledger.asking();
  ledger.answered({ position: 6, end: 6, counted: 0 }, undefined);
  assert.deepEqual([ledger.messages, ledger.hasApart, ledger.hasOthers], [3, false, true]);
});

test('what the bus counts by itself is never counted twice, and never too low', () => {
  const ledger = new Ledger();
  published(ledger, [0, 0, 0, 7]);
  ledger.asking();
  published(ledger, [0]);
  ledger.answered(undefined, { position: 8, end: 8, counted: 3 });
  assert.equal(ledger.messages, 4);
  ledger.asking();
  published(ledger, [0]);
  // It may have counted the last one or not.
  ledger.answered(undefined, { position: 8, end: 8, counted: 5 });
  assert.equal(ledger.messages, 5);
});

test('positions of a stream that is gone are not left', () => {
  const ledger = new Ledger();
  published(ledger, [1000, 1001]);
  ledger.asking();
  published(ledger, [6]);
  ledger.answered(undefined, { position: 1, end: 5, counted: 0 });
  assert.equal(ledger.messages, 1, 'what was stored since the question stays');
});

test('keeps few positions of many, and counts none of their messages too early as consumed', () => {
  const ledger = new Ledger();
  published(
    ledger,
    Array.from({ length: 500 }, (_, i) => i + 1),
  );
  assert.equal(ledger.messages, 500);
  let last = 500;
  for (let position = 10; position <= 501; position += 7) {
    ledger.asking();
    ledger.answered(undefined, { position, end: 501, counted: 0 });
    assert.ok(ledger.messages >= 501 - position, `${ledger.messages} are left from ${position} on`);
    assert.ok(ledger.messages <= last);
    last = ledger.messages;
  }
  assert.ok(last <= 32, `${last}`);
  ledger.asking();
  ledger.answered(undefined, { position: 501, end: 501, counted: 0 });
  assert.equal(ledger.messages, 0);
});
