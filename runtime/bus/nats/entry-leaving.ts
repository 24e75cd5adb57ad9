/** What a replica that may be the last reader of entries does before it is gone: it reads what is left of them. */

import type { ConsumerInfo } from 'nats';
import { sleep } from '../../../process/timing.ts';
import type { NatsCore } from './core.ts';
import type { Puller } from './pull.ts';

/** Entries requested at a time: each may hold many messages. */
export const maxEntryBatch = 64;
/** The longest that it goes on. */
const leaveMs = 10_000;
const pollMs = 50;

/**
 * Requests the entries that consumers hold until there are none, somebody else waits for them, or the time is over. It
 * leaves no request waiting, so that it does not look like a reader itself.
 */
export async function readWhatIsLeft(
  core: NatsCore,
  stream: string,
  consumers: readonly { readonly name: string; readonly puller: Puller }[],
): Promise<void> {
  const deadlineMs = performance.now() + leaveMs;
  for (const { name, puller } of consumers) {
    while (core.link.isUp && performance.now() < deadlineMs && (await isLeft(core, stream, name))) {
      puller.forget();
      puller.pullPresent(maxEntryBatch);
      await sleep(pollMs);
    }
  }
}

/** True if a consumer holds entries that nobody else waits for. */
async function isLeft({ requests }: NatsCore, stream: string, name: string): Promise<boolean> {
  try {
    const { num_pending, num_waiting } = await requests.api<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`);
    return num_pending > 0 && num_waiting === 0;
  } catch {
    // Disconnected, or the consumer is gone: there is nothing that can be read.
    return false;
  }
}
