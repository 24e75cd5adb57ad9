/**
 * Taking a lane: its consumer is replaced by one of the next number, which carries the id of the new owner. Two replicas can't
 * both make the consumer of one number, and whoever pulled from an earlier one, or acknowledges there, reaches nothing once that is
 * deleted. So the consumer decides who owns a lane, and not the lease, which only says when to try.
 *
 * The new consumer begins with the first message that the old one had not acknowledged, and the stream keeps nothing that every
 * processor has consumed: what is delivered again was open, or is held by another processor.
 */

import type { ConsumerConfig } from 'nats';
import { slotOf, takeOf } from '../consumer-sets.ts';
import { consumerNames, filtersOf, isStreamCurrent, type KnownConsumer, metadataKeys } from '../consumer-view.ts';
import type { ConsumerTools } from '../durables.ts';
import { provenFirst } from '../first-open.ts';
import { isRefused, jetStreamCodes, type Requests } from '../requests.ts';
import { Inheritance } from './inheritance.ts';
import type { LaneRecord } from './owner-record.ts';

/** A lane that is to be taken. */
export interface Claim {
  readonly lane: number;
  /** Its consumer now. */
  readonly top: KnownConsumer;
  /** True if its owner was lost: what it had open counts as attempted. */
  readonly isLost: boolean;
  /** What its owner has said of it. */
  readonly record: LaneRecord | undefined;
}

export interface Take extends Claim {
  /** The name of its new consumer. */
  readonly consumer: string;
  readonly inheritance: Inheritance;
}

/** How long gateways may take to read the new consumers before the old ones are deleted. */
const noticeMs = 1_000;
const maxMarks = 64;

/**
 * Takes those of the lanes that nobody else takes at the same time. Until this resolves, what is delivered may still go to their
 * earlier owners. One that fails may be this owner's nevertheless, and is taken again.
 * @throws what `Requests.api` throws
 */
export async function takeLanes(
  tools: ConsumerTools,
  processor: string,
  owner: string,
  claims: readonly Claim[],
): Promise<Take[]> {
  const { requests, subjects, announcer } = tools;
  const { stream } = subjects;
  const tried = await Promise.allSettled(claims.map((claim) => create(requests, stream, owner, claim)));
  const made = tried.flatMap((one) => (one.status === 'fulfilled' && one.value !== undefined ? [one.value] : []));
  const failure = tried.find((one) => one.status === 'rejected');
  if (made.length === 0 && failure !== undefined) throw failure.reason;
  if (made.length === 0) return [];
  // A request that was slow may have made a consumer whose number was given, and deleted, before.
  const names = await consumerNames(requests, stream);
  const isLast = ({ consumer }: Take): boolean =>
    !names.some((name) => slotOf(name) === slotOf(consumer) && takeOf(name) > takeOf(consumer));
  const won = made.filter(isLast);
  const late = made.filter((take) => !won.includes(take));
  await removeConsumers(
    requests,
    stream,
    late.map(({ consumer }) => consumer),
  ).catch(() => {});
  // Otherwise a gateway would see endpoints without a consumer, and hold its connections for a moment.
  if (won.length > 0) await announcer.announce({ processor }, noticeMs);
  const retired = await Promise.allSettled(won.map((take) => retireEarlier(requests, stream, take, names)));
  return won.filter((_, index) => retired[index]?.status === 'fulfilled');
}

/**
 * Deletes consumers of earlier takes. While a server of the stream is behind, they stay, and keep what they have not
 * acknowledged on the stream: call it again later. @throws what `Requests.api` throws
 */
export async function removeConsumers(requests: Requests, stream: string, names: readonly string[]): Promise<void> {
  if (names.length === 0 || !(await isStreamCurrent(requests, stream))) return;
  await Promise.all(names.map((name) => remove(requests, stream, name)));
}

/** Undefined when somebody else was faster. */
async function create(requests: Requests, stream: string, owner: string, claim: Claim): Promise<Take | undefined> {
  const { top, isLost, record } = claim;
  const first = provenFirst(top);
  const marks = (top.config.metadata?.[metadataKeys.marks] ?? '').split(',').map(Number);
  if (isLost) marks.push(top.delivered.stream_seq);
  const kept = [...new Set(marks)].filter((mark) => mark >= first).slice(-maxMarks);
  const consumer = `${slotOf(top.name)}_t${takeOf(top.name) + 1}`;
  const { ack_policy, ack_wait, max_deliver, max_ack_pending, metadata = {} } = top.config;
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith('_nats.'));
  const config = {
    name: consumer,
    durable_name: consumer,
    deliver_policy: 'by_start_sequence' as ConsumerConfig['deliver_policy'],
    opt_start_seq: first,
    ack_policy,
    ack_wait,
    max_deliver,
    max_ack_pending,
    filter_subjects: filtersOf(top.config),
    metadata: {
      ...Object.fromEntries(own),
      [metadataKeys.owner]: owner,
      [metadataKeys.start]: metadata[metadataKeys.start] ?? `${top.config.opt_start_seq ?? 1}`,
      [metadataKeys.marks]: kept.join(','),
    },
  };
  try {
    await requests.api(`CONSUMER.CREATE.${stream}.${consumer}`, { stream_name: stream, config, action: 'create' });
  } catch (err) {
    if (isRefused(err, jetStreamCodes.consumerExists)) return undefined;
    throw err;
  }
  return { ...claim, consumer, inheritance: new Inheritance(record, kept) };
}

/** Deletes what a take replaces, once the take covers all that the old consumer does. */
async function retireEarlier(
  requests: Requests,
  stream: string,
  { top, consumer }: Take,
  names: readonly string[],
): Promise<void> {
  const { config } = await requests
    .api<Pick<KnownConsumer, 'config'>>(`CONSUMER.INFO.${stream}.${top.name}`)
    .catch((err) => {
      if (isRefused(err, jetStreamCodes.consumerNotFound)) return top;
      throw err;
    });
  // Somebody has widened it since it was read.
  const filters = [...filtersOf(config)].sort();
  if (filters.join() !== [...filtersOf(top.config)].sort().join()) await widen(requests, stream, consumer, filters);
  const earlier = names.filter((name) => slotOf(name) === slotOf(consumer) && takeOf(name) < takeOf(consumer));
  await removeConsumers(requests, stream, earlier);
}

async function widen(requests: Requests, stream: string, name: string, filters: readonly string[]): Promise<void> {
  const { config } = await requests.api<{ config: ConsumerConfig }>(`CONSUMER.INFO.${stream}.${name}`);
  const { filter_subject: _, ...base } = config;
  const body = { stream_name: stream, config: { ...base, filter_subjects: filters }, action: 'update' };
  await requests.api(`CONSUMER.CREATE.${stream}.${name}`, body);
}

async function remove(requests: Requests, stream: string, name: string): Promise<void> {
  try {
    await requests.api(`CONSUMER.DELETE.${stream}.${name}`);
  } catch (err) {
    if (!isRefused(err, jetStreamCodes.consumerNotFound)) throw err;
  }
}
