/** Lists one after the other: each holds whole pages in memory. */

/** Runs a list when those before it are done, whether they succeeded or not. */
export type Turn = (list: () => Promise<void>) => Promise<void>;

export function createTurn(): Turn {
  let last: Promise<void> = Promise.resolve();
  return (list) => {
    const own = last.then(list);
    last = own.catch(() => undefined);
    return own;
  };
}
