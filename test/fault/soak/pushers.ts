/** Services that push to connections of a run through any gateway, and close some of them. */

import { setTimeout as pass } from 'node:timers/promises';
import type { Cast } from './cast.ts';
import { createRandom, type Random } from './random.ts';
import type { Recorder } from './recorder.ts';
import type { SoakHooks } from './services.ts';

const count = 3;
const everyMs = [50, 200] as const;
const answerLimitMs = 15_000;
/** How many connections are remembered, so that some pushes are for closed ones. */
const remembered = 100;
const closeProbability = 1 / 40;
/** What a service closes connections with. */
const closeCode = 4000;

export interface PusherOptions {
  readonly cast: Cast;
  readonly hooks: SoakHooks;
  readonly recorder: Recorder;
  readonly seed: number;
  /** Names of the connections that are open. */
  readonly open: () => string[];
  /** Whether they close connections, beside pushing. */
  readonly isClosing: boolean;
}

export class SoakPushers {
  readonly #options: PusherOptions;
  readonly #running: Promise<unknown>;
  #known: string[] = [];
  #pushes = 0;
  #isStopped = false;

  constructor(options: PusherOptions) {
    this.#options = options;
    const randoms = Array.from({ length: count }, (_, index) => createRandom(options.seed * 2_000 + index));
    this.#running = Promise.all(randoms.map((random) => this.#run(random)));
  }

  /** Resolves when every push is answered. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(random: Random): Promise<void> {
    const { cast, hooks, open, isClosing } = this.#options;
    while (!this.#isStopped) {
      await pass(random.between(...everyMs));
      this.#known = [...new Set([...open(), ...this.#known])].slice(0, remembered);
      const { serving } = cast;
      if (serving.length === 0 || this.#known.length === 0) continue;
      const connection = random.pick(this.#known);
      const id = hooks.idOf(connection);
      if (id === undefined) continue;
      const base = `${random.pick(serving).managementUrl}/connections/${id}`;
      if (isClosing && random.happens(closeProbability)) await this.#close(base, connection);
      else await this.#push(base, connection);
    }
  }

  async #push(base: string, connection: string): Promise<void> {
    this.#pushes += 1;
    const push = `p${this.#pushes}`;
    const atMs = this.#options.recorder.nowMs();
    const status = await post(`${base}/_send`, push);
    this.#options.recorder.note({
      kind: 'pushed',
      atMs,
      endedMs: this.#options.recorder.nowMs(),
      connection,
      push,
      status,
    });
  }

  async #close(base: string, connection: string): Promise<void> {
    const atMs = this.#options.recorder.nowMs();
    const status = await post(`${base}/_disconnect?code=${closeCode}`, 'over');
    // Without one of these answers it may have been closed.
    if (![404, 410, 503].includes(status))
      this.#options.recorder.note({ kind: 'closing', atMs, connection, by: 'service' });
  }
}

/** The status, or 0 when there is no answer. */
async function post(url: string, body: string): Promise<number> {
  try {
    const response = await fetch(url, { method: 'POST', body, signal: AbortSignal.timeout(answerLimitMs) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}
