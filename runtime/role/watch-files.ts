/**
 * Notices that configuration files have changed. It compares their content: in a pod they are a mounted ConfigMap, and
 * the kubelet swaps its directories, not its files.
 */

import { HydrogenError } from '../errors.ts';
import { readText } from './documents.ts';

const pollMs = 1_000;
/** Maximum number of problems reported for one change. */
const maxProblems = 20;

/**
 * Calls `onChange` with the configuration when the content of the files is first read (it may have changed since it was
 * loaded) and whenever it has changed and is valid; `onInvalid` with the problems when it is not.
 * @param load reads and checks the files. @throws {HydrogenError} when they are invalid
 * @returns a function that stops watching.
 */
export function watchFiles<Config>(
  files: readonly string[],
  load: () => Promise<Config>,
  onChange: (config: Config) => void,
  onInvalid: (problems: readonly string[]) => void,
): () => void {
  let known: string | undefined;
  let isBusy = false;

  async function reload(): Promise<void> {
    const texts = await Promise.all(files.map((file) => readText(file).catch(String)));
    const content = JSON.stringify(texts);
    if (content === known) return;
    known = content;
    try {
      onChange(await load());
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      onInvalid(error.message.split('\n').slice(0, maxProblems));
    }
  }

  async function poll(): Promise<void> {
    if (isBusy) return;
    isBusy = true;
    await reload().finally(() => {
      isBusy = false;
    });
  }

  void poll();
  const timer = setInterval(() => void poll(), pollMs);
  timer.unref();
  return () => clearInterval(timer);
}
