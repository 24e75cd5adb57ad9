/**
 * Asks the instances that have connections of a user, members of a channel, or any connections, and adds up what they
 * answer. The counts are true of every instance that answered, and say how many did not.
 */

import { within } from '../../process/timing.ts';
import type { Address, PeerBus } from '../bus/port/peers.ts';
import { HydrogenError } from '../errors.ts';
import type { Fence } from './fence.ts';
import {
  type Description,
  decodeInstanceResult,
  encodeQuestion,
  type InstanceResult,
  type Question,
  type Result,
} from './questions.ts';

export interface GroupAnswer {
  readonly connections: number;
  readonly sent: number;
  readonly full: number;
  readonly refused: number;
  /** Of a list: all that were named, in the order of their ids. */
  readonly list: readonly Description[];
  /** Instances that are alive, as far as is known, and did not answer in time. */
  readonly unanswered: number;
}

/** How long an instance may be at work. */
const workTimeoutMs = 3_000;

export class Addressing {
  readonly #peers: PeerBus;
  readonly #fence: Fence;

  constructor(peers: PeerBus, fence: Fence) {
    this.#peers = peers;
    this.#fence = fence;
  }

  /**
   * Resolves within seven seconds.
   * @throws {HydrogenError} as a rejection: HYD_BUS_UNREACHABLE, nothing was asked; HYD_MESSAGE_TOO_LARGE,
   * HYD_ADDRESS_INVALID
   */
  async ask(address: Address, question: Question): Promise<GroupAnswer> {
    const collected = new Collected();
    const asked = this.#peers.ask(address, encodeQuestion(question), (answer) =>
      collected.take(decodeInstanceResult(answer)),
    );
    if (asked === undefined) throw new HydrogenError('HYD_BUS_UNREACHABLE');
    const { unanswered } = await this.#fence.join();
    await within(workTimeoutMs, collected.finished());
    asked.close();
    return collected.outcome(unanswered);
  }

  /**
   * Does not wait for anybody. @throws what `ask` rejects with
   */
  tell(address: Address, question: Question): void {
    const asked = this.#peers.ask(address, encodeQuestion(question), () => {});
    if (asked === undefined) throw new HydrogenError('HYD_BUS_UNREACHABLE');
    asked.close();
  }
}

/** The answers to one question. */
class Collected {
  readonly #results = new Map<string, Result>();
  readonly #atWork = new Set<string>();
  #onFinished: (() => void) | undefined;

  take(answer: InstanceResult | undefined): void {
    if (answer === undefined) return;
    const { instanceId, result } = answer;
    if (this.#results.has(instanceId)) return;
    if (result === undefined) {
      this.#atWork.add(instanceId);
      return;
    }
    this.#results.set(instanceId, result);
    this.#atWork.delete(instanceId);
    if (this.#atWork.size === 0) this.#onFinished?.();
  }

  finished(): Promise<void> {
    if (this.#atWork.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onFinished = resolve;
    });
  }

  outcome(silent: ReadonlySet<string>): GroupAnswer {
    const results = [...this.#results.values()];
    const sum = (count: (result: Result) => number | undefined): number =>
      results.reduce((total, result) => total + (count(result) ?? 0), 0);
    const unanswered = new Set([...silent, ...this.#atWork]);
    for (const instanceId of this.#results.keys()) unanswered.delete(instanceId);
    return {
      connections: sum(({ connections }) => connections),
      sent: sum(({ sent }) => sent),
      full: sum(({ full }) => full),
      refused: sum(({ refused }) => refused),
      list: results.flatMap(({ list }) => list ?? []).sort((a, b) => (a.connection_id < b.connection_id ? -1 : 1)),
      unanswered: unanswered.size,
    };
  }
}
