/**
 * Which lanes belong to whom: the same answer in every replica that knows of the same replicas. Each has as many as the
 * others, or one more, and few lanes change hands when a replica comes or goes (rendezvous hashing, with a limit).
 */

/** The lanes of `self` among `replicas`, which may be in any order. */
export function lanesOf(self: string, replicas: readonly string[], lanes: number): Set<number> {
  const sorted = [...new Set(replicas)].sort();
  const quotas = new Map(
    sorted.map((replica, rank) => [
      replica,
      Math.floor(lanes / sorted.length) + (rank < lanes % sorted.length ? 1 : 0),
    ]),
  );
  const bids = sorted.flatMap((replica) =>
    Array.from({ length: lanes }, (_, lane) => ({ replica, lane, weight: weightOf(replica, lane) })),
  );
  bids.sort((a, b) => b.weight - a.weight || a.lane - b.lane || (a.replica < b.replica ? -1 : 1));
  const assigned = new Set<number>();
  const mine = new Set<number>();
  for (const { replica, lane } of bids) {
    const quota = quotas.get(replica) ?? 0;
    if (quota === 0 || assigned.has(lane)) continue;
    assigned.add(lane);
    quotas.set(replica, quota - 1);
    if (replica === self) mine.add(lane);
  }
  return mine;
}

/** FNV-1a (32 bits), mixed so that lanes next to each other have unlike weights. */
function weightOf(replica: string, lane: number): number {
  const text = `${replica}/${lane}`;
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
