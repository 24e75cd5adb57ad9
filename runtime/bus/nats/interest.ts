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

export interface Interest {
  isConsumed(endpoint: string): boolean;
  onChange(listener: () => void): void;
  stop(): void;
}

const pollMs = 5000;
const eagerPollMs = 500;
const advisoryDelayMs = 50;
const fullReadEvery = 12;

export function createInterest(link: Link, requests: Requests, subjects: Subjects): Interest {
  const listeners: (() => void)[] = [];
  let covered = createCoverage([], subjects);
  let key = '';
  let names = '';
  let polls = 0;
  let isWatched = false;
  let isStopped = false;
  let isReading = false;
  let isStale = false;
  let timer: NodeJS.Timeout | undefined;

  function watch(): void {
    if (isWatched || isStopped) return;
    isWatched = true;
    for (const event of ['CREATED', 'DELETED']) {
      link.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.${event}.${subjects.stream}.*`, () => hurry());
    }
    link.onStatus((status) => {
      if (status === 'up') hurry();
    });
    if (link.isUp) hurry();
  }

  function hurry(): void {
    isStale = true;
    schedule(advisoryDelayMs);
  }

  function schedule(delayMs: number): void {
    clearTimeout(timer);
    if (!isStopped) timer = setTimeout(() => void poll(), delayMs).unref();
  }

  async function poll(): Promise<void> {
    if (isReading) return schedule(advisoryDelayMs);
    isReading = true;
    const isFull = isStale || key === '' || ++polls % fullReadEvery === 0;
    isStale = false;
    try {
      if (link.isUp && (isFull || (await readNames()) !== names)) await read();
    } catch {
      // The link or JetStream is unavailable: the last answer stays until it can be read again.
      isStale = true;
    }
    isReading = false;
    schedule(key === '' ? eagerPollMs : pollMs);
  }

  async function readNames(): Promise<string> {
    const page = await requests.api<{ consumers: string[] | null }>(`CONSUMER.NAMES.${subjects.stream}`);
    return (page.consumers ?? []).sort().join(' ');
  }

  async function read(): Promise<void> {
    const consumers = await listConsumers(requests, subjects.stream);
    names = consumers
      .map(({ name }) => name)
      .sort()
      .join(' ');
    const filters = consumers.flatMap(({ config }) => filtersOf(config)).sort();
    const next = filters.join(' ');
    if (next === key) return;
    key = next;
    covered = createCoverage(filters, subjects);
    for (const listener of listeners) listener();
  }

  return {
    isConsumed: (endpoint) => {
      watch();
      return covered(endpoint);
    },
    onChange: (listener) => {
      watch();
      listeners.push(listener);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
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
