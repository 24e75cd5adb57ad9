/**
 * Leases as keys of a bucket whose entries expire `leaseMs` after they were last written. The bucket is a key-value
 * store as NATS tools know it (`nats kv ls hydrogen_<group>_instances`).
 *
 * "Not held" leads to connections being declared gone, so it is said only when it is certain: a released lease leaves a
 * mark that says so, and an absent one counts only in a bucket older than a lease. A bucket that is younger, or missing,
 * has perhaps lost what it knew in a restart (`Memory` storage, or a disk that did not survive), and the owners need a
 * moment to claim again what is theirs.
 */

import type { StreamInfo } from 'nats';
import type { Lease } from '../port/leases.ts';
import type { Subjects } from '../subjects.ts';
import type { Link } from './connection.ts';
import { isRefused, jetStreamCodes, type Requests } from './requests.ts';
import { ensureStream, leaseBucket, type StreamOptions } from './streams.ts';
import { headerBlock, headerValue } from './wire.ts';

export interface Leases {
  hold(instanceId: string, onLost: () => void): Lease;
  isHeld(instanceId: string): Promise<boolean | undefined>;
  stop(): void;
}

interface StoredMessage {
  readonly message: { readonly hdrs?: string };
}

/** An owner is told of its loss after this share of the lease, so that it acts before others see it expired. */
const lossShare = 0.8;
const renewalsPerLease = 6;
const maxRequestMs = 5000;
const released = headerBlock([['KV-Operation', 'DEL']]);
const nothing = new Uint8Array(0);

export function createLeases(
  link: Link,
  requests: Requests,
  subjects: Subjects,
  leaseMs: number,
  stream: StreamOptions,
): Leases {
  const bucket = `KV_${subjects.leaseBucket}`;
  const requestMs = Math.min(maxRequestMs, leaseMs / 4);
  const stops = new Set<() => void>();
  /** True when the bucket was seen to be older than a lease on this very connection. */
  let isBucketOld = false;

  const key = (instanceId: string): string => `$KV.${subjects.leaseBucket}.${instanceId}`;

  link.onStatus((status) => {
    if (status !== 'up') isBucketOld = false;
  });

  function ensureBucket(): Promise<unknown> {
    return ensureStream(requests, leaseBucket(subjects, leaseMs, stream));
  }

  function hold(instanceId: string, onLost: () => void): Lease {
    let isHeld = false;
    let isOver = false;
    let isEnsured = false;
    let isWriting: Promise<void> | undefined;
    let renewTimer: NodeJS.Timeout | undefined;
    let lossTimer: NodeJS.Timeout | undefined;

    function stop(): void {
      isOver = true;
      clearTimeout(renewTimer);
      clearTimeout(lossTimer);
      isHeld = false;
      stops.delete(stop);
    }

    function renew(): void {
      clearTimeout(renewTimer);
      if (isOver || isWriting !== undefined) return;
      isWriting = write().finally(() => {
        isWriting = undefined;
      });
    }

    async function write(): Promise<void> {
      const startedAtMs = performance.now();
      const isWritten = link.isUp && (await put().catch(() => false));
      if (isOver) return;
      if (isWritten) {
        isHeld = true;
        clearTimeout(lossTimer);
        lossTimer = setTimeout(lose, leaseMs * lossShare - (performance.now() - startedAtMs));
      } else {
        isEnsured = false;
      }
      renewTimer = setTimeout(renew, isWritten ? leaseMs / renewalsPerLease : Math.min(500, leaseMs / 12));
    }

    async function put(): Promise<boolean> {
      if (!isEnsured) await ensureBucket();
      isEnsured = true;
      const reply = await requests.send(key(instanceId), Buffer.from(`${Date.now()}`), requestMs);
      if (reply.kind !== 'answer') return false;
      return !('error' in (JSON.parse(reply.msg.string()) as object));
    }

    function lose(): void {
      isHeld = false;
      onLost();
    }

    stops.add(stop);
    link.onStatus((status) => {
      if (status === 'up') renew();
    });
    renew();
    return {
      get isHeld() {
        return isHeld;
      },
      release: async () => {
        if (isOver) return;
        stop();
        await isWriting;
        await requests.send(key(instanceId), nothing, requestMs, released);
      },
    };
  }

  async function isOlderThanALease(): Promise<boolean> {
    if (isBucketOld) return true;
    const info = await requests.api<StreamInfo & { ts?: string }>(`STREAM.INFO.${bucket}`);
    const serverNowMs = info.ts === undefined ? Date.now() : Date.parse(info.ts);
    isBucketOld = serverNowMs - Date.parse(info.created) > leaseMs;
    return isBucketOld;
  }

  return {
    hold,
    isHeld: async (instanceId) => {
      const body = { last_by_subj: key(instanceId) };
      try {
        const { message } = await requests.api<StoredMessage>(`STREAM.MSG.GET.${bucket}`, body);
        const block = Buffer.from(message.hdrs ?? '', 'base64').toString('latin1');
        return headerValue(block, 'KV-Operation') === undefined;
      } catch (err) {
        if (!isRefused(err, jetStreamCodes.messageNotFound)) return undefined;
      }
      try {
        return (await isOlderThanALease()) ? false : undefined;
      } catch {
        // Cut off between the two questions: it can't be known.
        return undefined;
      }
    },
    stop: () => {
      for (const stop of [...stops]) stop();
    },
  };
}
