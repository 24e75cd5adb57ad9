/** Runs lists one after another, because each of them has whole pages in memory. */

/** Runs a list once the earlier ones are done, whether or not they succeeded. */
export type Turn = (list: () => Promise<void>) => Promise<void>;

export function createTurn(): Turn {
  let last: Promise<void> = Promise.resolve();
  return (list) => {
    const own = last.then(list);
    last = own.catch(() => undefined);
    return own;
  };
}
