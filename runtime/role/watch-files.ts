/**
 * Notices that configuration files have changed. It compares their content: in a pod they are a mounted ConfigMap, and
 * the kubelet swaps its directories, not its files.
 */

import { configDigestOf } from '../../crds/config-digest.ts';
import { HydrogenError } from '../errors.ts';
import { type ConfigSource, readSources } from './documents.ts';

const pollMs = 1_000;
/** Maximum number of problems reported for one change. */
const maxProblems = 20;

/** Names the content of some files; that of a single file is the digest of its text. */
export function digestOf(sources: readonly ConfigSource[]): string {
  return configDigestOf(sources.map(({ text }) => text).join('\n'));
}

/**
 * Calls `onChange` with the configuration when the content of the files is first read (it may have changed since it was
 * loaded) and whenever it has changed and is valid; `onInvalid` with the problems when it is not. Both get the digest of the
 * content; it is undefined when a file could not be read.
 * @param parse checks the content. @throws {HydrogenError} when it is invalid
 * @returns a function that stops watching.
 */
export function watchFiles<Config>(
  files: readonly string[],
  parse: (sources: readonly ConfigSource[]) => Config,
  onChange: (config: Config, digest: string) => void,
  onInvalid: (problems: readonly string[], digest: string | undefined) => void,
): () => void {
  let known: string | undefined;
  let isBusy = false;

  async function reload(): Promise<void> {
    let digest: string | undefined;
    try {
      const sources = await readSources(files);
      digest = digestOf(sources);
      if (digest === known) return;
      known = digest;
      onChange(parse(sources), digest);
    } catch (error) {
      if (!(error instanceof HydrogenError)) throw error;
      if (digest === undefined && known === error.message) return;
      known = digest ?? error.message;
      onInvalid(error.message.split('\n').slice(0, maxProblems), digest);
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
