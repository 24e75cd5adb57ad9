/** What the server says about the lanes of a processor: what is left in all of them, and whether it agrees with their owner. */

import type { Lag } from '../../port/messages.ts';
import type { KnownConsumer } from '../consumer-view.ts';
import type { NatsCore } from '../core.ts';
import type { EntrySizes } from '../entry-sizes.ts';
import { readMessageLag } from '../lag.ts';
import type { Lane } from './lane.ts';
import type { LaneNames } from './lane-names.ts';

/** @param lanes those that this replica owns. @returns undefined while it can't be known */
export async function readLaneLag(
  { link, requests, subjects }: NatsCore,
  names: LaneNames,
  lanes: Iterable<Lane>,
  sizes: EntrySizes,
): Promise<Lag | undefined> {
  if (!link.isUp || names.count === 0) return undefined;
  try {
    const present = { singles: [], entries: await names.present() };
    const open = { entries: 0, messages: 0, waiting: 0 };
    for (const lane of lanes) {
      open.entries += lane.open;
      open.messages += lane.messages;
    }
    return await readMessageLag(requests, subjects.stream, present, open, sizes);
  } catch {
    // Disconnected, or a consumer is being replaced at the moment: unknown.
    return undefined;
  }
}

/** Finds acknowledgements that were lost without a sign. Never rejects. */
export async function auditLanes({ requests, subjects }: NatsCore, lanes: Iterable<Lane>): Promise<void> {
  const audits = Array.from(lanes, async (lane) => {
    const { consumer } = lane;
    const info = await requests.api<KnownConsumer>(`CONSUMER.INFO.${subjects.stream}.${consumer}`);
    if (lane.consumer === consumer) lane.audit(info);
  });
  await Promise.allSettled(audits);
}
