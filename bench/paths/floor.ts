/** The minimum cost of a gateway from WebSocket to HTTP: one process, no bus; see floor-process.ts. */

import { join } from 'node:path';

import { freePortBase } from '../../test/kit/ports.ts';
import { startBenchProcess } from '../processes.ts';
import type { Path } from './path.ts';

export async function startFloor(destinationUrl: string): Promise<Path> {
  await using stack = new AsyncDisposableStack();
  const port = await freePortBase();
  const args = [join(import.meta.dirname, 'floor-process.ts'), `${port}`, destinationUrl];
  const floor = stack.use(startBenchProcess('floor', process.execPath, args));
  await floor.answers(`http://127.0.0.1:${port}/`);
  const parts = stack.move();
  return {
    name: 'floor',
    url: `ws://127.0.0.1:${port}/echo`,
    processes: [floor],
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}
