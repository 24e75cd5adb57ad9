/**
 * Knows which endpoints are covered by consumers, so that nothing is published that nobody would get. The answer comes
 * from memory and is refreshed:
 *
 * - at once from an advisory: of a deleted consumer, whose filters no longer count, or of a deleted stream;
 * - at once from an announcement of what consumers will cover, before it takes effect;
 * - on a new connection, before anything is published on it: while stream and names are the same, so is the answer;
 * - by a poll of the names, and of everything when they have changed or a minute has passed. The same poll looks who
 *   reads entries.
 *
 * Nothing is polled before the first question.
 */

import type { ConsumerInfo, StreamInfo } from 'nats';
import type { Subjects } from '../subjects.ts';
import { type Announcement, announcedMs } from './announcements.ts';
import type { Link } from './connection.ts';
import { speaksFor } from './consumer-sets.ts';
import { consumerNames, filtersOf, type KnownConsumer, listConsumers, metadataKeys } from './consumer-view.ts';
import { createCoverage, type Restrictions } from './coverage.ts';
import { createEntryCoverage, type EntryCoverage } from './entry-coverage.ts';
import { EntryReaders } from './entry-readers.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';

const pollMs = 5000;
const eagerPollMs = 500;
const advisoryDelayMs = 50;
const fullReadEvery = 12;

export class Interest {
  readonly #link: Link;
  readonly #requests: Requests;
  readonly #subjects: Subjects;
  readonly #listeners: (() => void)[] = [];
  #state: 'unasked' | 'waiting' | 'reading' | 'stopped' = 'unasked';
  /** What is known counts only on the connection that it was read or confirmed on. */
  #isConfirmed = false;
  /** True if the filters may have changed since they were last read. */
  #isStale = false;
  #consumers: readonly KnownConsumer[] = [];
  /** When the stream was made that the consumers belong to. */
  #created = '';
  /** By processor, what it has announced to keep, and until when that is believed. */
  readonly #announced = new Map<string, { readonly kept: readonly string[]; readonly untilMs: number }>();
  readonly #readers = new EntryReaders();
  #covered: (endpoint: string) => boolean;
  #entries: EntryCoverage;
  /** Incremented when a consumer or the stream is deleted and when the link changes: earlier questions are void. */
  #epoch = 0;
  /** What the listeners were last told of. */
  #told = '';
  #polls = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onCoverage called first when answers may have changed; unlike a listener it starts no polling */
  constructor(link: Link, requests: Requests, subjects: Subjects, onCoverage: () => void) {
    this.#listeners.push(onCoverage);
    this.#link = link;
    this.#requests = requests;
    this.#subjects = subjects;
    this.#covered = createCoverage([], subjects);
    this.#entries = this.#weighEntries(new Map());
  }

  isConsumed(endpoint: string): boolean {
    if (this.#state === 'unasked') this.#watch();
    return this.#isConfirmed && this.#covered(endpoint);
  }

  /** How a message to this endpoint is to be written now; undefined: it is not consumed. */
  formOf(endpoint: string): 'single' | 'entry' | undefined {
    if (!this.isConsumed(endpoint)) return undefined;
    return this.#entries.isRead(endpoint) ? 'entry' : 'single';
  }

  /** True while an entry to this endpoint is kept for every processor that gets messages to it. */
  keepsEntries(endpoint: string): boolean {
    return this.isConsumed(endpoint) && this.#entries.keeps(endpoint);
  }

  onChange(listener: () => void): void {
    this.#watch();
    this.#listeners.push(listener);
  }

  /** Takes an announcement into account at once. Resolves when the consumers have been read again, if they can be. */
  async heed({ processor, kept, isLeaving }: Announcement): Promise<void> {
    if (isLeaving === true) this.#readers.leave(processor);
    if (kept === 'all') this.#announced.delete(processor);
    else if (kept !== undefined) this.#announced.set(processor, { kept, untilMs: performance.now() + announcedMs });
    if (this.#state === 'unasked' || this.#isStopped) return;
    this.#weigh();
    try {
      await this.#read();
    } catch {
      // Not all consumers are known, or the link is down: the poll reads them as soon as they are.
      this.#hurry();
    }
  }

  stop(): void {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
  }

  #watch(): void {
    if (this.#state !== 'unasked') return;
    this.#state = 'waiting';
    const { stream } = this.#subjects;
    const advisory = '$JS.EVENT.ADVISORY';
    this.#link.subscribe(`${advisory}.CONSUMER.CREATED.${stream}.*`, () => this.#hurry());
    this.#link.subscribe(`${advisory}.CONSUMER.DELETED.${stream}.*`, ({ subject }) => {
      const name = subject.slice(subject.lastIndexOf('.') + 1);
      this.#lose(this.#consumers.filter((one) => one.name !== name));
    });
    this.#link.subscribe(`${advisory}.STREAM.DELETED.${stream}`, () => this.#lose([]));
    this.#link.onStatus((status) => {
      this.#epoch++;
      this.#isConfirmed = false;
      this.#weigh();
      if (status === 'up') this.#schedule(0);
    });
    if (this.#link.isUp) this.#schedule(0);
  }

  #lose(rest: readonly KnownConsumer[]): void {
    this.#epoch++;
    this.#consumers = rest;
    this.#weigh();
    this.#hurry();
  }

  #hurry(): void {
    this.#isStale = true;
    if (this.#state === 'waiting') this.#schedule(advisoryDelayMs);
  }

  #schedule(delayMs: number): void {
    if (this.#state === 'reading' || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#poll(), delayMs).unref();
  }

  async #poll(): Promise<void> {
    const epoch = this.#epoch;
    let hasFailed = false;
    this.#state = 'reading';
    try {
      if (this.#link.isUp) await this.#refresh();
    } catch {
      // The link or JetStream is unavailable: the last answer stays until it can be read again.
      hasFailed = true;
    }
    if (this.#isStopped) return;
    this.#state = 'waiting';
    if (epoch !== this.#epoch || (this.#isStale && !hasFailed)) this.#schedule(advisoryDelayMs);
    else this.#schedule(this.#isConfirmed && this.#consumers.length > 0 && !hasFailed ? pollMs : eagerPollMs);
    this.#isStale ||= hasFailed;
  }

  async #refresh(): Promise<void> {
    // On a new connection what is known is confirmed first, because that takes a cluster no more than its leader.
    if (!this.#isConfirmed && (await this.#confirm())) {
      this.#isStale = true;
      return;
    }
    const isFull = this.#isStale || ++this.#polls % fullReadEvery === 0;
    this.#isStale = false;
    if (isFull || !(await this.#confirm())) await this.#read();
    else await this.#lookForReaders();
  }

  async #lookForReaders(): Promise<void> {
    const { stream } = this.#subjects;
    const telling = this.#consumers.filter((one) => speaksFor(one) !== undefined);
    if (telling.length === 0) return;
    const ask = ({ name }: KnownConsumer): Promise<ConsumerInfo> =>
      this.#requests.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`);
    for (const info of await Promise.all(telling.map(ask))) this.#readers.look(info);
    this.#weigh();
  }

  get #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /** True if stream and names are those that are known, which then count on this connection. */
  async #confirm(): Promise<boolean> {
    const epoch = this.#epoch;
    const { stream } = this.#subjects;
    const [created, names] = await Promise.all([this.#streamCreated(), consumerNames(this.#requests, stream)]);
    const known = this.#consumers.map(({ name }) => name).sort();
    if (epoch !== this.#epoch || created === '' || created !== this.#created) return false;
    if (names.join(' ') !== known.join(' ')) return false;
    this.#isConfirmed = true;
    this.#weigh();
    return true;
  }

  async #read(): Promise<void> {
    let epoch: number;
    let created: string;
    let consumers: readonly KnownConsumer[];
    do {
      epoch = this.#epoch;
      created = await this.#streamCreated();
      consumers = await listConsumers(this.#requests, this.#subjects.stream);
    } while (epoch !== this.#epoch);
    this.#created = created;
    this.#consumers = consumers;
    this.#readers.lookAll(consumers);
    this.#isConfirmed = true;
    this.#weigh();
  }

  /** Empty when there is none. */
  async #streamCreated(): Promise<string> {
    try {
      return (await this.#requests.api<StreamInfo>(`STREAM.INFO.${this.#subjects.stream}`)).created;
    } catch (err) {
      if (isRefused(err, jetStreamCodes.streamNotFound)) return '';
      throw err;
    }
  }

  #weighEntries(restrictions: Restrictions): EntryCoverage {
    return createEntryCoverage(this.#consumers, this.#subjects, restrictions, (name) => this.#readers.isRead(name));
  }

  /** Computes the answers, and calls the listeners when they may have changed. */
  #weigh(): void {
    const nowMs = performance.now();
    for (const [processor, { untilMs }] of this.#announced) if (untilMs < nowMs) this.#announced.delete(processor);
    const restrictions = new Map(Array.from(this.#announced, ([processor, { kept }]) => [processor, kept]));
    this.#covered = createCoverage(this.#consumers, this.#subjects, restrictions);
    this.#entries = this.#weighEntries(restrictions);
    const told = JSON.stringify([this.#isConfirmed, this.#consumers.map(coverageOf).sort(), [...restrictions]]);
    if (told === this.#told || this.#isStopped) return;
    this.#told = told;
    for (const listener of this.#listeners) listener();
  }
}

function coverageOf({ config }: KnownConsumer): string {
  const { metadata = {} } = config;
  return [metadata[metadataKeys.processor], metadata[metadataKeys.entriesOf], ...filtersOf(config)].join(' ');
}
