/** A path of messages from clients to the destination and back: benchmarks compare these. */

import type { Dialect } from '../load/dialect.ts';
import type { PostTarget } from '../load/post.ts';
import type { BenchProcess } from '../processes.ts';

export interface Path extends AsyncDisposable {
  readonly name: string;
  /** Where clients connect. */
  readonly url: string;
  /** Its processes, whose CPU time is read. */
  readonly processes: readonly BenchProcess[];
}

/** A request that sends a text to clients. */
export interface PushRequest {
  readonly target: PostTarget;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A path of the comparison. What a system cannot do is undefined. */
export interface ComparedPath extends Path {
  readonly dialect: Dialect;
  /** Sends a text to the client with this id: through the process that holds it, or through another one. */
  push?(id: string, text: string, through: 'owner' | 'other'): PushRequest;
  /** Sends a text to every client. */
  broadcast?(text: string): PushRequest;
  /** How a client's id for `push` is known: from an answer to `id?`, or from its index. */
  readonly ids?: 'asked' | 'index';
  /** Ends the processor, and starts another. */
  readonly processor?: { stop(): Promise<void>; start(): Promise<void> };
}

/** URLs of the destination process. */
export interface DestinationUrls {
  readonly destination: string;
  /** The same behind a port of its own, so that systems see another destination. */
  readonly slow: string;
}

/** A system of the comparison, with the settings that a scenario gives it. */
export interface System {
  /** Such as `hydrogen, in order`. */
  readonly name: string;
  /** What the product is, such as `hydrogen`: `--systems` selects by it. */
  readonly product: string;
  /** Resolves with its version. @throws with the reason why it cannot run here */
  version(): Promise<string>;
  start(urls: DestinationUrls): Promise<ComparedPath>;
  /** The same of another checkout, if it is of a checkout. */
  readonly of?: (checkout: string) => System;
}
