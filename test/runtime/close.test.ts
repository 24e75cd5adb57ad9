import assert from 'node:assert/strict';
import test from 'node:test';
import { fitCloseReason, isCloseReason, isOwnClose, isServiceCloseCode } from '../../runtime/close.ts';

test('a service may close with 1000 and 3000 to 4999, and with nothing else', () => {
  for (const code of [1000, 3000, 3999, 4000, 4999]) assert.ok(isServiceCloseCode(code), `${code}`);
  for (const code of [0, 999, 1001, 1005, 1006, 1008, 1011, 1015, 2000, 2999, 5000, 3000.5, Number.NaN, -3000]) {
    assert.ok(!isServiceCloseCode(code), `${code}`);
  }
});

test('a reason is measured in bytes and cut at a character', () => {
  assert.ok(isCloseReason('x'.repeat(123)));
  assert.ok(!isCloseReason('x'.repeat(124)));
  assert.ok(isCloseReason('ü'.repeat(61)));
  assert.ok(!isCloseReason('ü'.repeat(62)));
  assert.equal(fitCloseReason('short'), 'short');
  assert.equal(fitCloseReason('x'.repeat(200)), 'x'.repeat(123));
  assert.equal(fitCloseReason('ü'.repeat(200)), 'ü'.repeat(61));
  assert.equal(fitCloseReason('🙂'.repeat(200)), '🙂'.repeat(30));
});

test('a close with 4000 to 4999 is one of ours if its reason begins with HYD_', () => {
  for (const code of [4000, 4001, 4999]) assert.ok(isOwnClose(code, 'HYD_ANYTHING'), `${code}`);
  for (const [code, reason] of [
    [4001, 'hyd_'],
    [4001, ' HYD_'],
    [4001, ''],
    [1000, 'HYD_X'],
    [3999, 'HYD_X'],
  ] as const) {
    assert.ok(!isOwnClose(code, reason), `${code} ${reason}`);
  }
});
