import assert from 'node:assert/strict';
import test from 'node:test';

import { formAtTurnEnd, writeAtTurnEnd } from '../../process/turn.ts';

/** Resolves once this turn of the event loop has ended, and whatever it asked for has been done. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('a turn writes once everything is formed, and only then', async () => {
  const done: string[] = [];
  writeAtTurnEnd(() => done.push('write'));
  formAtTurnEnd(() => {
    done.push('form');
    formAtTurnEnd(() => done.push('form more'));
    writeAtTurnEnd(() => done.push('write more'));
  });
  await Promise.resolve();
  assert.deepEqual(done, []);
  await nextTurn();
  assert.deepEqual(done, ['form', 'form more', 'write', 'write more']);
});

test('each callback runs once, in its own turn', async () => {
  const done: string[] = [];
  writeAtTurnEnd(() => {
    done.push('first');
    formAtTurnEnd(() => done.push('second'));
  });
  await nextTurn();
  assert.deepEqual(done, ['first']);
  await nextTurn();
  assert.deepEqual(done, ['first', 'second']);
});

test('one that throws keeps the others from nothing', async (context) => {
  const thrown: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  context.after(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  });
  const done: string[] = [];
  formAtTurnEnd(() => {
    throw new Error('a bug');
  });
  formAtTurnEnd(() => done.push('form'));
  writeAtTurnEnd(() => done.push('write'));
  await nextTurn();
  await nextTurn();
  assert.deepEqual(done, ['form', 'write']);
  assert.equal(String(thrown), 'Error: a bug');
});
