/** The keys in the bucket of leases. A released lease leaves a marker under its key until it would have expired. */

import type { Requests } from './requests.ts';
import { headerValue } from './wire.ts';

interface StoredKey {
  readonly message: { readonly hdrs?: string };
}

/** Whether the lease of this key has been released. @throws what `Requests.api` throws; it is refused when there is no such key */
export async function isReleased(requests: Requests, bucket: string, key: string): Promise<boolean> {
  const { message } = await requests.api<StoredKey>(`STREAM.MSG.GET.${bucket}`, { last_by_subj: key });
  const block = Buffer.from(message.hdrs ?? '', 'base64').toString('latin1');
  return headerValue(block, 'KV-Operation') !== undefined;
}
