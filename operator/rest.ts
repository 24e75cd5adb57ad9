/**
 * Gives memory back when a burst is over. V8 collects once the heap has grown by so much again, which in a process that rests
 * afterwards is hours later: the garbage of a first list of thousands of objects would stay for as long.
 */

export interface Rest {
  /** An object was read or looked after. */
  worked(): void;
  stop(): void;
}

/** Quiet time after which a burst is over. */
const quietMs = 3000;

/** With fewer objects there is nothing to gain. */
const burst = 500;

/** @param collect @default - a full collection, where the process was started with `--expose-gc` */
export function createRest(collect: () => void = collectGarbage): Rest {
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

function collectGarbage(): void {
  void globalThis.gc?.({ type: 'major', execution: 'async' });
}
