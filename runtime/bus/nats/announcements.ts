/**
 * What a processor's consumers will cover, announced to the gateways before it takes effect: each stops publishing what
 * will no longer be covered, waits until the stream has answered what it had sent, and then answers. An announcement is a
 * core NATS message, so a gateway that is cut off does not hear of it; it can't publish either, and has closed its
 * connections by the time its lease is over.
 */

import type { Msg } from 'nats';
import { within } from '../../../process/timing.ts';
import type { Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import { leaseHolders, readLease } from './lease-keys.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';

export interface Announcement {
  readonly processor: string;
  /**
   * The endpoints that it keeps, whatever else its consumers still cover; `all` that they cover, which takes an earlier
   * announcement back. Absent: only its consumers have changed.
   */
  readonly kept?: readonly string[] | 'all';
  /** One of its replicas stops and may have been the last that reads entries: single messages until another one does. */
  readonly isLeaving?: true;
}

/** How long gateways believe an announcement that does not come true. */
export const announcedMs = 30_000;
/** How often the gateways that have not answered are looked up again, and asked again. */
const askAgainMs = 1000;

export class Announcer {
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #subjects: Subjects;
  #count = 0;

  constructor(link: Link, requests: Requests, subjects: Subjects) {
    this.#link = link;
    this.#requests = requests;
    this.#subjects = subjects;
  }

  /** Lets the gateways know, without waiting for them. */
  tell(announcement: Announcement): void {
    this.#link.publish(this.#subjects.announcements, Buffer.from(JSON.stringify(announcement)));
  }

  /**
   * Resolves with true once every gateway that holds a lease has answered, and with false when one has not after
   * `timeoutMs`. @throws what `Requests.api` throws
   */
  async announce(announcement: Announcement, timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    const answered = new Set<string>();
    let holders: readonly string[] | undefined;
    let wake = (): void => {};
    const haveAnswered = (): boolean => holders?.every((instance) => answered.has(instance)) === true;
    const inbox = `${this.#link.inbox}.a${this.#count++}`;
    const subscription = this.#link.subscribe(inbox, (msg) => {
      for (const instance of instancesIn(msg)) answered.add(instance);
      if (haveAnswered()) wake();
    });
    try {
      do {
        const pause = new Promise<void>((resolve) => {
          wake = resolve;
        });
        this.#link.publish(this.#subjects.announcements, Buffer.from(JSON.stringify(announcement)), inbox);
        holders = await this.#holders(answered);
        if (!haveAnswered()) await within(Math.min(askAgainMs, Math.max(1, deadlineMs - performance.now())), pause);
      } while (!haveAnswered() && performance.now() < deadlineMs);
      return haveAnswered();
    } finally {
      void subscription.drain();
    }
  }

  /** The instances that hold a lease and have not answered. */
  async #holders(answered: ReadonlySet<string>): Promise<string[]> {
    const holders: string[] = [];
    try {
      for (const instance of await leaseHolders(this.#requests, this.#subjects)) {
        if (answered.has(instance)) continue;
        const lease = await readLease(this.#requests, this.#subjects, instance);
        if (lease?.isReleased === false) holders.push(instance);
      }
    } catch (err) {
      if (!isRefused(err, jetStreamCodes.streamNotFound)) throw err;
    }
    return holders;
  }
}

/** Reads an announcement; undefined when it is none. */
export function parseAnnouncement(payload: Uint8Array): Announcement | undefined {
  try {
    const { processor, kept, isLeaving } = JSON.parse(Buffer.from(payload).toString()) as Partial<Announcement>;
    if (typeof processor !== 'string') return undefined;
    if (kept === undefined) return isLeaving === true ? { processor, isLeaving } : { processor };
    if (kept === 'all') return { processor, kept };
    return Array.isArray(kept) && kept.every((one) => typeof one === 'string' && one !== '')
      ? { processor, kept }
      : undefined;
  } catch {
    // Not JSON: not from this project.
    return undefined;
  }
}

function instancesIn(msg: Msg): string[] {
  try {
    const ids = JSON.parse(msg.string()) as unknown;
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
  } catch {
    // Not JSON, for example because nobody subscribes: no instance has answered.
    return [];
  }
}
