/** Single changes of durable consumers, each safe whoever else makes the same one. */

import type { ConsumerConfig } from 'nats';
import { HydrogenError } from '../../errors.ts';
import { filtersOf, type KnownConsumer } from './consumer-view.ts';
import type { NatsCore } from './core.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { differences } from './streams.ts';

/**
 * Unordered deliveries that all replicas together may have open. What waits in a replica for its connection or its
 * destination counts too, so it must not be what holds others up.
 */
export const maxUnsettled = 65_536;

/** What a consumer should be, without a deliver policy. */
export type WantedConsumer = Partial<ConsumerConfig> & { readonly durable_name: string };

/**
 * Creates a consumer or adapts it. @param existing the same consumer as it was last seen
 * @param start the first message of a consumer that does not exist yet
 */
export async function ensureConsumer(
  { requests, subjects }: Pick<NatsCore, 'requests' | 'subjects'>,
  config: WantedConsumer,
  existing: KnownConsumer | undefined,
  start: number,
): Promise<'kept' | 'created' | 'updated'> {
  const name = config.durable_name;
  const subject = `CONSUMER.CREATE.${subjects.stream}.${name}`;
  if (existing === undefined) {
    const first = { deliver_policy: 'by_start_sequence', opt_start_seq: start };
    const body = { stream_name: subjects.stream, config: { ...first, name, ...config }, action: 'create' };
    // Somebody else who makes the same set has created it first. It is checked before anything is deleted.
    await unlessRefused(requests.api(subject, body), jetStreamCodes.consumerExists);
    return 'created';
  }
  if (differences({ ...existing.config, filter_subjects: [...filtersOf(existing.config)] }, config).length === 0)
    return 'kept';
  const { filter_subject: _, ...base } = existing.config;
  const body = { stream_name: subjects.stream, config: { ...base, name, ...config }, action: 'update' };
  try {
    await requests.api(subject, body);
  } catch (err) {
    if (isRefused(err, jetStreamCodes.consumerMissing)) throw changing(name);
    throw err;
  }
  return 'updated';
}

export async function deleteConsumer(requests: Requests, stream: string, name: string): Promise<void> {
  await unlessRefused(requests.api(`CONSUMER.DELETE.${stream}.${name}`), jetStreamCodes.consumerNotFound);
}

async function unlessRefused(request: Promise<unknown>, code: number): Promise<void> {
  try {
    await request;
  } catch (err) {
    if (!isRefused(err, code)) throw err;
  }
}

/** Others change the same consumers: try again. */
export function changing(processor: string): HydrogenError {
  return new HydrogenError('HYD_BUS_UNREACHABLE', `the consumers of ${processor} are being changed by others`);
}
