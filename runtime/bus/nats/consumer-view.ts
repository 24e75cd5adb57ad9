/**
 * The consumers of a stream as the server knows them. A cluster answers a list after some four seconds with what it has,
 * and names the rest as missing; a list of several pages may change between them. Whoever decides from an incomplete list
 * loses messages, so such a list is no answer here.
 */

import type { ConsumerConfig, ConsumerInfo, StreamInfo } from 'nats';
import { HydrogenError } from '../../errors.ts';
import { ServerExcess } from './meter.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';

/** The fields of a consumer that are used. */
export type KnownConsumer = Pick<
  ConsumerInfo,
  'name' | 'config' | 'num_pending' | 'num_ack_pending' | 'num_waiting' | 'ack_floor' | 'delivered'
>;

/** The consumers of a stream, and the last message that was stored before they were listed. */
export interface StreamConsumers {
  readonly lastSequence: number;
  readonly consumers: readonly KnownConsumer[];
}

interface ConsumerPage {
  readonly total: number;
  readonly consumers: readonly ConsumerInfo[] | null;
  /** Consumers that exist and whose server has not answered. */
  readonly missing?: readonly string[] | null;
}

/** A page of a real server has 256 consumers. */
const maxPages = 64;
const listTimeoutMs = 15_000;
/** Servers of a stream answer its leader every second. */
const maxSilenceNs = 3_000_000_000;

/**
 * Consumer metadata: the processor that it belongs to, and the set of consumers that it is part of. Of the consumer of a
 * lane also the replica that owns it, the first message of the lane in this set, and the marks: for each owner that was
 * lost, the last sequence that had been delivered to it, separated by commas. The consumer of a processor's entries names
 * its processor under a key of its own: releases without entries take no notice of it.
 */
export const metadataKeys = {
  processor: 'hydrogen-processor',
  shape: 'hydrogen-shape',
  entriesOf: 'hydrogen-entries-of',
  owner: 'hydrogen-owner',
  start: 'hydrogen-start',
  marks: 'hydrogen-marks',
} as const;

/**
 * The consumers of a stream. The result stays valid while the consumers of other processors change.
 * @throws what `listConsumers` throws; {JetStreamError} when the stream does not exist
 */
export async function readConsumers(requests: Requests, stream: string): Promise<StreamConsumers> {
  // Read before the consumers are, so that whatever is stored later is later than this for each of them.
  const { state } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`);
  return { lastSequence: state.last_seq, consumers: await listConsumers(requests, stream) };
}

/**
 * Every consumer of a stream; none when the stream does not exist.
 * @throws {HydrogenError} HYD_BUS_UNREACHABLE when not all of them are known; what `Requests.api` throws
 */
export async function listConsumers(requests: Requests, stream: string): Promise<KnownConsumer[]> {
  const found: KnownConsumer[] = [];
  await eachConsumer(requests, stream, ({ name, config, ...state }) => {
    const { num_pending, num_ack_pending, num_waiting, ack_floor, delivered } = state;
    found.push({
      name,
      config: withoutNested(config),
      num_pending,
      num_ack_pending,
      num_waiting,
      ack_floor,
      delivered,
    });
  });
  return found;
}

/**
 * Calls `visit` with every consumer of a stream, page by page. What was visited counts only once this resolves.
 * @throws what `listConsumers` throws
 */
export async function eachConsumer(
  requests: Requests,
  stream: string,
  visit: (info: ConsumerInfo) => void,
): Promise<void> {
  const deadlineMs = performance.now() + listTimeoutMs;
  const names = new Set<string>();
  let count = 0;
  let expected: number | undefined;
  for (let page = 0; page < maxPages && performance.now() < deadlineMs; page++) {
    try {
      const { total, consumers, missing } = await requests.api<ConsumerPage>(`CONSUMER.LIST.${stream}`, {
        offset: count,
      });
      if (missing?.length) throw incomplete(stream, `no answer from ${missing.length} of ${total}`);
      expected ??= total;
      if (total !== expected) throw incomplete(stream, 'they change');
      for (const info of consumers ?? []) {
        names.add(info.name);
        visit(info);
      }
      count += consumers?.length ?? 0;
      if (count < total && consumers?.length) continue;
      if (names.size < total) throw incomplete(stream, `${names.size} of ${total} are listed`);
      return;
    } catch (err) {
      if (isRefused(err, jetStreamCodes.streamNotFound)) return;
      throw err;
    }
  }
  const cause = new ServerExcess(`the server lists more consumers of ${stream} than are read`);
  throw new HydrogenError('HYD_BUS_UNREACHABLE', cause.message, { cause });
}

/**
 * True while every server of the stream follows its leader. One that does not may carry out a deletion later, in one go with
 * what was created before, and then drops its copies of messages that the new consumers still have to deliver.
 * @throws what `Requests.api` throws
 */
export async function isStreamCurrent(requests: Requests, stream: string): Promise<boolean> {
  const { cluster } = await requests.api<StreamInfo>(`STREAM.INFO.${stream}`);
  const replicas = cluster?.replicas ?? [];
  return replicas.every(({ current, offline, active }) => current && offline !== true && active < maxSilenceNs);
}

/** The names of a stream's consumers, which a cluster knows even while their servers do not answer; sorted. */
export async function consumerNames(requests: Requests, stream: string): Promise<string[]> {
  const names: string[] = [];
  for (let page = 0; page < maxPages; page++) {
    const { total, consumers } = await requests.api<{ total: number; consumers: string[] | null }>(
      `CONSUMER.NAMES.${stream}`,
      { offset: names.length },
    );
    names.push(...(consumers ?? []));
    if (names.length >= total || !consumers?.length) break;
  }
  return names.sort();
}

/** Filters of a consumer, from whichever of the two fields has them. */
export function filtersOf(config: ConsumerConfig): readonly string[] {
  return config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
}

function incomplete(stream: string, why: string): HydrogenError {
  return new HydrogenError('HYD_BUS_UNREACHABLE', `not all consumers of ${stream} are known: ${why}`);
}

/**
 * A configuration consists of values, lists of values and flat objects. Anything else that a server sends only wastes
 * memory.
 */
function withoutNested(config: ConsumerConfig): ConsumerConfig {
  const isFlat = (value: unknown): boolean =>
    typeof value !== 'object' || value === null || Object.values(value).every((one) => typeof one !== 'object');
  return Object.fromEntries(Object.entries(config).filter(([, value]) => isFlat(value))) as unknown as ConsumerConfig;
}
