/**
 * WebSocket frames (RFC 6455, section 5) as a client writes and reads them. Made for load, not for the open internet: the
 * masking key is zero, so that a payload is sent as it is, and an answer must be one frame of at most 64 KiB.
 */

export const opcodes = { text: 0x1, close: 0x8, ping: 0x9, pong: 0xa } as const;

/** Bytes of the masking key in a client's frame. */
const keyBytes = 4;
const finBit = 0x80;
const maskBit = 0x80;
/** Lengths in the second byte that say how many bytes the real length has. */
const [twoByteLength, eightByteLength] = [126, 127];

/** One final, masked frame with a payload in Latin-1. */
export function clientFrame(opcode: number, payload: string): Buffer {
  const isShort = payload.length < twoByteLength;
  const headerBytes = isShort ? 2 : 4;
  const frame = Buffer.alloc(headerBytes + keyBytes + payload.length);
  frame[0] = finBit | opcode;
  frame[1] = maskBit | (isShort ? payload.length : twoByteLength);
  if (!isShort) frame.writeUInt16BE(payload.length, 2);
  frame.write(payload, headerBytes + keyBytes, 'latin1');
  return frame;
}

/** Splits what a server sends into frames. */
export class FrameReader {
  readonly #onFrame: (opcode: number, payload: string) => void;
  /** The beginning of a frame whose end has not arrived. */
  #rest: Buffer | undefined;

  /** @param onFrame is given the payload in Latin-1 */
  constructor(onFrame: (opcode: number, payload: string) => void) {
    this.#onFrame = onFrame;
  }

  /** The bytes may be overwritten after the call. @throws for a frame that no server under test sends */
  read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    for (;;) {
      const end = this.#readFrame(bytes, offset);
      if (end === undefined) break;
      offset = end;
    }
    this.#rest = offset === bytes.length ? undefined : Buffer.from(bytes.subarray(offset));
  }

  /** Where the frame at `offset` ends; undefined when it is not complete. */
  #readFrame(bytes: Buffer, offset: number): number | undefined {
    if (bytes.length < offset + 2) return undefined;
    const [first = 0, second = 0] = [bytes[offset], bytes[offset + 1]];
    if ((first & finBit) === 0 || second >= eightByteLength) {
      throw new Error('a frame of the server is a fragment, masked or over 64 KiB');
    }
    const isShort = second < twoByteLength;
    const begin = offset + (isShort ? 2 : 4);
    if (bytes.length < begin) return undefined;
    const end = begin + (isShort ? second : bytes.readUInt16BE(offset + 2));
    if (bytes.length < end) return undefined;
    this.#onFrame(first & 0x0f, bytes.toString('latin1', begin, end));
    return end;
  }
}
