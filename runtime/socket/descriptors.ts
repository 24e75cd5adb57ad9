/**
 * How many file descriptors clients may have. The rest is kept for the bus, for calls to services, for the management
 * API and for probes: a process without any can neither work nor say what is wrong.
 */

import { readFileSync } from 'node:fs';

/** A share of one in eight is kept, within these bounds. */
const minKept = 64;
const maxKept = 1024;

/** Sockets that clients may have; Infinity where the system does not say (Linux does). */
export function descriptorsForClients(): number {
  const limit = readLimit();
  return limit - Math.min(maxKept, Math.max(minKept, Math.floor(limit / 8)));
}

function readLimit(): number {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    // Not Linux: nothing is known.
    return Number.POSITIVE_INFINITY;
  }
}
