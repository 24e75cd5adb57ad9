/**
 * Knows which endpoints are consumed, that is, whether the consumers of the stream cover every partition of an
 * endpoint. The answer comes from memory. A poll keeps it fresh: it reads the names of the consumers, and their filters
 * only when the names have changed, an advisory has arrived, or a minute has passed. Nothing is polled before the first
 * question.
 */

import { encodeEndpoint, partitionCount, type Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import { filtersOf, listConsumers } from './durables.ts';
import type { Requests } from './requests.ts';

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
  /** True if the filters may have changed since they were last read. */
  #isStale = false;
  #covered: (endpoint: string) => boolean;
  #filters = '';
  #names = '';
  #polls = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link, requests: Requests, subjects: Subjects) {
    this.#link = link;
    this.#requests = requests;
    this.#subjects = subjects;
    this.#covered = createCoverage([], subjects);
  }

  isConsumed(endpoint: string): boolean {
    this.#watch();
    return this.#covered(endpoint);
  }

  onChange(listener: () => void): void {
    this.#watch();
    this.#listeners.push(listener);
  }

  stop(): void {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
  }

  #watch(): void {
    if (this.#state !== 'unasked') return;
    this.#state = 'waiting';
    for (const event of ['CREATED', 'DELETED']) {
      this.#link.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.${event}.${this.#subjects.stream}.*`, () => this.#hurry());
    }
    this.#link.onStatus((status) => {
      if (status === 'up') this.#hurry();
    });
    if (this.#link.isUp) this.#hurry();
  }

  #hurry(): void {
    this.#isStale = true;
    if (this.#state === 'waiting') this.#schedule(advisoryDelayMs);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#poll(), delayMs).unref();
  }

  async #poll(): Promise<void> {
    const isFull = this.#isStale || this.#filters === '' || ++this.#polls % fullReadEvery === 0;
    let hasFailed = false;
    this.#state = 'reading';
    this.#isStale = false;
    try {
      if (this.#link.isUp && (isFull || (await this.#readNames()) !== this.#names)) await this.#read();
    } catch {
      // The link or JetStream is unavailable: the last answer stays until it can be read again.
      hasFailed = true;
    }
    if (this.#isStopped) return;
    this.#state = 'waiting';
    const calmMs = this.#filters === '' ? eagerPollMs : pollMs;
    this.#schedule(this.#isStale && !hasFailed ? advisoryDelayMs : calmMs);
    this.#isStale ||= hasFailed;
  }

  get #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  async #readNames(): Promise<string> {
    const names: string[] = [];
    for (;;) {
      const page = await this.#requests.api<{ total: number; consumers: string[] | null }>(
        `CONSUMER.NAMES.${this.#subjects.stream}`,
        { offset: names.length },
      );
      names.push(...(page.consumers ?? []));
      if (names.length >= page.total || !page.consumers?.length) return names.sort().join(' ');
    }
  }

  async #read(): Promise<void> {
    const consumers = await listConsumers(this.#requests, this.#subjects.stream);
    this.#names = consumers
      .map(({ name }) => name)
      .sort()
      .join(' ');
    const filters = consumers.flatMap(({ config }) => filtersOf(config)).sort();
    const next = filters.join(' ');
    if (next === this.#filters || this.#isStopped) return;
    this.#filters = next;
    this.#covered = createCoverage(filters, this.#subjects);
    for (const listener of this.#listeners) listener();
  }
}

/** Answers whether filters cover all partitions of an endpoint. */
export function createCoverage(filters: readonly string[], subjects: Subjects): (endpoint: string) => boolean {
  const prefix = subjects.allClientMessages.slice(0, -1);
  const partitions = new Map<string, Set<string>>();
  for (const filter of filters) {
    if (!filter.startsWith(prefix)) continue;
    const [partition = '', endpoint = '>'] = filter.slice(prefix.length).split('.');
    const token = partition === '>' || endpoint === '*' ? '>' : endpoint;
    const share = partitions.get(token) ?? new Set<string>();
    share.add(partition === '>' ? '*' : partition);
    partitions.set(token, share);
  }
  const everything = partitions.get('>') ?? new Set<string>();
  const answers = new Map<string, boolean>();
  return (endpoint) => {
    const known = answers.get(endpoint);
    if (known !== undefined) return known;
    const both = new Set([...everything, ...(partitions.get(encodeEndpoint(endpoint)) ?? [])]);
    const answer = both.has('*') || both.size === partitionCount;
    if (answers.size < 1024) answers.set(endpoint, answer);
    return answer;
  };
}
