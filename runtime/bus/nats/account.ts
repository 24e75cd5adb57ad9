/**
 * The limits of a NATS account and how much of them is used, for the person who reads that the account refused
 * something.
 */

import type { Requests } from './requests.ts';

/** The fields of the answer to `$JS.API.INFO` that are used; -1 means no limit. */
export interface AccountInfo {
  readonly streams?: number;
  readonly consumers?: number;
  readonly reserved_storage?: number;
  readonly reserved_memory?: number;
  readonly limits?: {
    readonly max_streams?: number;
    readonly max_consumers?: number;
    readonly max_storage?: number;
    readonly max_memory?: number;
  };
}

const mebibyte = 1024 * 1024;

/**
 * `the account has 2 of at most 2 streams, and has promised 1024 of 4096 MiB in files`; undefined where it has no
 * limits. Limits per number of replicas (tiers) are not included.
 * @throws what `Requests.api` throws
 */
export async function accountRoom(requests: Requests): Promise<string | undefined> {
  const { streams = 0, reserved_storage, reserved_memory, limits } = await requests.api<AccountInfo>('INFO');
  const { max_streams = -1, max_storage = -1, max_memory = -1 } = limits ?? {};
  const parts = [
    ...(max_streams > 0 ? [`${streams} of at most ${max_streams} streams`] : []),
    ...(max_storage > 0 ? [`${promised(reserved_storage, max_storage)} in files`] : []),
    ...(max_memory > 0 ? [`${promised(reserved_memory, max_memory)} in memory`] : []),
  ];
  return parts.length === 0 ? undefined : `the account has ${parts.join(', ')}`;
}

function promised(reserved: number | undefined, limit: number): string {
  return `promised ${Math.ceil((reserved ?? 0) / mebibyte)} of ${Math.floor(limit / mebibyte)} MiB`;
}
