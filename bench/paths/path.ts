/** A path of messages from clients to the destination and back: benchmarks compare these. */

import type { BenchProcess } from '../processes.ts';

export interface Path extends AsyncDisposable {
  readonly name: string;
  /** Where clients connect. */
  readonly url: string;
  /** Its processes, whose CPU time is read. */
  readonly processes: readonly BenchProcess[];
}
