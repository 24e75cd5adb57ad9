/** Collects everything at once, where the process was started with `--expose-gc`, and gives the memory back. */
export function collectGarbage(): void {
  void globalThis.gc?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
}
