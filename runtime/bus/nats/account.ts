/** What an account of NATS may keep, and how much of it is taken: for the person who reads that it refuses more. */

import type { Requests } from './requests.ts';

/** The part of the answer to `$JS.API.INFO` that is read; -1 is no limit. */
interface AccountInfo {
  readonly streams?: number;
  readonly reserved_storage?: number;
  readonly reserved_memory?: number;
  readonly limits?: {
    readonly max_streams?: number;
    readonly max_storage?: number;
    readonly max_memory?: number;
  };
}

const mebibyte = 1024 * 1024;

/**
 * `the account has 2 of at most 2 streams, and has promised 1024 of 4096 MiB in files`; undefined where it has no limits.
 * Limits by number of replicas (tiers) are not told.
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
