/** Dead letters of the memory bus: kept in one store for all buses, up to a limit. */

import { HydrogenError } from '../../errors.ts';
import type {
  DeadLetter,
  DeadLetterBus,
  DeadLetterCause,
  DeadLetters,
  DeadMessage,
  LetterOutcome,
} from '../port/dead-letters.ts';
import { checkedName } from '../subjects.ts';
import type { MemoryLink } from './link.ts';
import type { MessageStore } from './store.ts';

/** How long a letter of the same stored message counts as the same, as in the duplicate window of a stream. */
const duplicateWindowMs = 120_000;

export class LetterStore {
  readonly #maxLetters: number;
  readonly #letters = new Map<string, Map<number, DeadLetter>>();
  /** When each letter of the last two minutes was stored, oldest first. */
  readonly #recent = new Map<string, number>();
  #count = 0;
  #lastSequence = 0;

  constructor(maxLetters: number) {
    this.#maxLetters = maxLetters;
  }

  /** @param key the same for letters that are stored once */
  add(processor: string, letter: Omit<DeadLetter, 'sequence'>, key: string): LetterOutcome {
    if (this.#isKnown(key)) return 'stored';
    if (this.#count >= this.#maxLetters) return 'refused';
    const sequence = ++this.#lastSequence;
    this.#count++;
    this.#mapOf(processor).set(sequence, { ...letter, sequence });
    this.#recent.set(key, Date.now());
    return 'stored';
  }

  of(processor: string): ReadonlyMap<number, DeadLetter> {
    return this.#mapOf(processor);
  }

  remove(processor: string, sequence: number): boolean {
    if (!this.#mapOf(processor).delete(sequence)) return false;
    this.#count--;
    return true;
  }

  #isKnown(key: string): boolean {
    const windowStartMs = Date.now() - duplicateWindowMs;
    for (const [known, storedAtMs] of this.#recent) {
      if (storedAtMs > windowStartMs) break;
      this.#recent.delete(known);
    }
    return this.#recent.has(key);
  }

  #mapOf(processor: string): Map<number, DeadLetter> {
    const known = this.#letters.get(processor) ?? new Map<number, DeadLetter>();
    this.#letters.set(processor, known);
    return known;
  }
}

export class MemoryDeadLetters implements DeadLetterBus {
  readonly #link: MemoryLink;
  readonly #letters: LetterStore;
  readonly #messages: MessageStore;

  constructor(link: MemoryLink, letters: LetterStore, messages: MessageStore) {
    this.#link = link;
    this.#letters = letters;
    this.#messages = messages;
  }

  async store(
    processor: string,
    message: DeadMessage,
    attempts: number,
    cause: DeadLetterCause,
  ): Promise<LetterOutcome> {
    if (this.#link.state === 'stopped') throw new HydrogenError('HYD_BUS_STOPPED');
    checkedName(processor);
    if (!this.#link.isUp) return 'refused';
    const { id, connectionId, endpoint, callbackUrl, payload, isReplay, storedAtMs } = message;
    const letter = { id, connectionId, endpoint, callbackUrl, payload, attempts, diedAtMs: Date.now(), ...cause };
    return this.#letters.add(processor, letter, `${processor} ${id} ${isReplay} ${storedAtMs}`);
  }

  of(processor: string): DeadLetters {
    checkedName(processor);
    const link = this.#link;
    const letters = this.#letters;
    return {
      list: async (limit, afterSequence = 0) => {
        link.checkUp();
        const all = Array.from(letters.of(processor).values());
        return all.filter((letter) => letter.sequence > afterSequence).slice(0, limit);
      },
      get: async (sequence) => {
        link.checkUp();
        return letters.of(processor).get(sequence);
      },
      replay: async (sequence) => {
        link.checkUp();
        return this.#replay(processor, sequence);
      },
      remove: async (sequence) => {
        link.checkUp();
        return letters.remove(processor, sequence);
      },
      purge: async () => {
        link.checkUp();
        const sequences = Array.from(letters.of(processor).keys());
        return sequences.filter((sequence) => letters.remove(processor, sequence)).length;
      },
    };
  }

  #replay(processor: string, sequence: number): boolean {
    const letter = this.#letters.of(processor).get(sequence);
    if (letter === undefined) return false;
    const consumer = this.#messages.consumerOf(processor);
    if (!consumer?.covers(letter.endpoint)) {
      throw new HydrogenError('HYD_NOT_READY', `${processor} does not consume ${letter.endpoint}`);
    }
    const { id, connectionId, endpoint, callbackUrl, payload } = letter;
    this.#messages.hold({ id, connectionId, endpoint, callbackUrl, payload }, [consumer], true);
    return this.#letters.remove(processor, sequence);
  }
}
