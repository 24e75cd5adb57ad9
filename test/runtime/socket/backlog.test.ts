import assert from 'node:assert/strict';
import test from 'node:test';
import { Backlog } from '../../../runtime/socket/backlog.ts';

test('gives messages back in order, with their bytes and kind, whatever memory they came in', () => {
  const backlog = new Backlog();
  const memory = Buffer.from('onetwothree');
  const pushed: [string, boolean][] = [];
  const push = (data: Buffer, isBinary: boolean): void => {
    backlog.push(data, isBinary);
    pushed.push([data.toString(), isBinary]);
  };
  const shifted: [string, boolean][] = [];
  const shift = (): void => backlog.shift((data, isBinary) => shifted.push([data.toString(), isBinary]));
  push(Buffer.alloc(0), true);
  push(memory.subarray(0, 3), false);
  push(memory.subarray(3, 6), true);
  push(Buffer.alloc(0), false);
  push(Buffer.from('elsewhere'), false);
  push(memory.subarray(6), false);
  for (let index = 0; index < 6; index++) shift();
  push(memory.subarray(0, 6), true);
  shift();
  assert.deepEqual(shifted, pushed);
  assert.equal(backlog.length, 0);
  shift();
  assert.equal(shifted.length, 7);
});
