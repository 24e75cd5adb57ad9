/**
 * Stores parked messages in the stream of waiting rooms. A message without an answer is sent again under the same id a few
 * times; nothing waits for the bus to come back, because the delivery that is parked stays open meanwhile. Only so many
 * are on the way at once; the others wait for their turn.
 */

import { HydrogenError } from '../../errors.ts';
import { Fifo } from '../../fifo.ts';
import type { Parked } from '../port/waiting.ts';
import type { Requests } from './requests.ts';
import { judgeAck } from './wire.ts';

const maxOnTheWay = 1024;
const maxTries = 3;
const answerTimeoutMs = 5000;

export class Parker {
  readonly #requests: Requests;
  /** The first bytes of the stream's acknowledgements. */
  readonly #accepted: Uint8Array;
  readonly #onNobody: () => void;
  readonly #turns = new Fifo<() => void>();
  #onTheWay = 0;

  /** @param onNobody called when there is no stream */
  constructor(requests: Requests, stream: string, onNobody: () => void) {
    this.#requests = requests;
    this.#accepted = Buffer.from(`{"stream":"${stream}","seq":`);
    this.#onNobody = onNobody;
  }

  /** Never rejects. @param headers a complete block with an id for deduplication */
  async store(subject: string, headers: string, payload: Uint8Array): Promise<Parked> {
    if (this.#onTheWay < maxOnTheWay) this.#onTheWay++;
    else await new Promise<void>((resolve) => this.#turns.push(resolve));
    try {
      return await this.#send(subject, headers, payload);
    } finally {
      // A turn is passed on, or given up.
      const next = this.#turns.shift();
      if (next === undefined) this.#onTheWay--;
      else next();
    }
  }

  async #send(subject: string, headers: string, payload: Uint8Array): Promise<Parked> {
    for (let tries = 0; tries < maxTries; tries++) {
      const outcome = await this.#trySend(subject, headers, payload);
      if (outcome === 'stored' || outcome === 'full') return outcome;
      if (outcome === 'nobody') this.#onNobody();
      if (outcome !== 'timeout') break;
    }
    return 'unavailable';
  }

  async #trySend(
    subject: string,
    headers: string,
    payload: Uint8Array,
  ): Promise<'stored' | 'full' | 'refused' | 'nobody' | 'timeout' | 'down'> {
    try {
      const outcome = await this.#requests.send(subject, payload, answerTimeoutMs, headers);
      if (outcome.kind !== 'answer') return outcome.kind;
      const verdict = judgeAck(outcome.msg.data, this.#accepted);
      return verdict === 'large' ? 'full' : verdict;
    } catch (err) {
      // The server accepts smaller messages than when the client's message was stored.
      if (err instanceof HydrogenError && err.code === 'HYD_MESSAGE_TOO_LARGE') return 'full';
      throw err;
    }
  }
}
