/**
 * What an operator does that rests most of the time, so that it takes little memory meanwhile.
 *
 * It compiles without optimising: the compilers and what they make take 20 MB, for code that runs in bursts of seconds. And it
 * gives memory back when a burst is over. V8 collects once the heap has grown by so much again, which in a process that rests
 * afterwards is hours later: the garbage of a first list of thousands of objects would stay for as long.
 */
import { setFlagsFromString } from 'node:v8';

export interface Rest {
  /** An object was read or looked after. */
  worked(): void;
  stop(): void;
}

/** With fewer objects there is nothing to gain. */
const burst = 500;

export interface RestOptions {
  /** @default - a full collection, where the process was started with `--expose-gc` */
  readonly collect?: () => void;
  /** After this long without work a burst is over. @default 3_000 */
  readonly quietMs?: number;
}

export function createRest({ collect = collectGarbage, quietMs = 3000 }: RestOptions = {}): Rest {
  let count = 0;
  let timer: NodeJS.Timeout | undefined;

  function settle(): void {
    const isWorthIt = count >= burst;
    count = 0;
    timer = undefined;
    if (isWorthIt) collect();
  }

  return {
    worked: () => {
      count += 1;
      timer = timer?.refresh() ?? setTimeout(settle, quietMs).unref();
    },
    stop: () => clearTimeout(timer),
  };
}

/** For the whole process, from now on; code that is optimised already stays so. */
export function compilePlainly(): void {
  setFlagsFromString('--no-opt');
  setFlagsFromString('--no-maglev');
}

function collectGarbage(): void {
  void globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
}
