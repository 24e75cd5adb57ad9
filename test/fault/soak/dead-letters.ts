/** Reads the dead letters of a run as they arrive, as an administrator would: from the stream. */

import type { Cast } from './cast.ts';
import type { Recorder } from './recorder.ts';
import { readMessage } from './services.ts';

const header = 'hydrogen-dead-letter';

export class DeadLetterReader {
  readonly #cast: Cast;
  readonly #recorder: Recorder;
  #last = 0;

  constructor(cast: Cast, recorder: Recorder) {
    this.#cast = cast;
    this.#recorder = recorder;
  }

  /** Notes the letters that were stored since the last call. @throws when NATS does not answer */
  async read(): Promise<void> {
    const { nats, subjects } = this.#cast;
    await nats.withManager(async (manager) => {
      const { state } = await manager.streams.info(subjects.deadLetterStream);
      for (let seq = Math.max(this.#last + 1, state.first_seq); seq <= state.last_seq; seq++) {
        const letter = await manager.streams.getMessage(subjects.deadLetterStream, { seq });
        const { attempts } = JSON.parse(letter.header.get(header)) as { readonly attempts: number };
        const message = readMessage(Buffer.from(letter.data).toString());
        this.#recorder.note({ kind: 'deadLettered', atMs: this.#recorder.nowMs(), attempts, ...message });
        this.#last = seq;
      }
    });
  }
}
