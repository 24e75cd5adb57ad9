/** The keys in the bucket of leases. A released lease leaves a marker under its key until it would have expired. */

import type { Subjects } from '../subjects.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { headerValue } from './wire.ts';

interface StoredKey {
  readonly message: { readonly hdrs?: string; readonly data?: string };
}

/** What stands behind the time in the lease of an instance that hears what is asked of addresses. */
const addressableMark = ' addressable';

export interface LeaseKey {
  readonly isReleased: boolean;
  readonly isAddressable: boolean;
}

/** The value of a lease: when it was written, which only people read, and what its holder can do. */
export function leaseValue(): Uint8Array {
  return Buffer.from(`${Date.now()}${addressableMark}`);
}

interface KeyListing {
  readonly state: { readonly subjects?: Readonly<Record<string, number>> };
}

/** The instances that have a key, released ones among them. @throws what `Requests.api` throws */
export async function leaseHolders(requests: Requests, { leaseBucket }: Subjects): Promise<string[]> {
  const prefix = `$KV.${leaseBucket}.`;
  const body = { subjects_filter: `${prefix}>` };
  const { state } = await requests.api<KeyListing>(`STREAM.INFO.KV_${leaseBucket}`, body);
  return Object.keys(state.subjects ?? {}).map((key) => key.slice(prefix.length));
}

/** Undefined when there is no such key. @throws what `Requests.api` throws */
export async function readLease(
  requests: Requests,
  { leaseBucket }: Subjects,
  instanceId: string,
): Promise<LeaseKey | undefined> {
  const query = { last_by_subj: `$KV.${leaseBucket}.${instanceId}` };
  try {
    const { message } = await requests.api<StoredKey>(`STREAM.MSG.GET.KV_${leaseBucket}`, query);
    const block = Buffer.from(message.hdrs ?? '', 'base64').toString('latin1');
    const value = Buffer.from(message.data ?? '', 'base64').toString('latin1');
    return {
      isReleased: headerValue(block, 'KV-Operation') !== undefined,
      isAddressable: value.endsWith(addressableMark),
    };
  } catch (err) {
    if (isRefused(err, jetStreamCodes.messageNotFound)) return undefined;
    throw err;
  }
}
