/**
 * W3C Trace Context of deliveries: the trace id is derived from the message id, so that all attempts on all replicas,
 * and the requests to the rules engine, belong to one trace; the parent id is fresh per request.
 */

import { hash, randomFillSync } from 'node:crypto';

/** Makes the header `traceparent` of one request for this message. */
export type Traceparent = (messageId: string) => string;

const parentIdBytes = 8;
const noParentId = '0'.repeat(2 * parentIdBytes);

/** Random bytes are drawn in blocks: one call of the generator per request would cost more than the rest. */
export function createTraceparent(): Traceparent {
  const block = Buffer.alloc(parentIdBytes * 1024);
  let used = block.byteLength;

  function parentId(): string {
    if (used === block.byteLength) {
      randomFillSync(block);
      used = 0;
    }
    const id = block.toString('hex', used, used + parentIdBytes);
    used += parentIdBytes;
    return id === noParentId ? parentId() : id;
  }

  return (messageId) => `00-${hash('sha256', messageId, 'hex').slice(0, 32)}-${parentId()}-01`;
}
