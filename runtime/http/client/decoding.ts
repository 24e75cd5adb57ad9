/**
 * Answers that are coded although we ask for none: some servers compress whatever they send. What every server uses is
 * decoded within the limit of the answer; anything else fails with a sentence.
 */

import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';

type Decode = (body: Buffer, options: { readonly maxOutputLength: number }) => Buffer;

const decoders: Readonly<Record<string, Decode>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

/** @returns the body as it was before it was coded; `tooLarge` when that is more than `maxBytes`; an error for the log */
export function decodeBody(body: Buffer, coding: string | undefined, maxBytes: number): Buffer | 'tooLarge' | Error {
  const name = (coding ?? '').trim().toLowerCase();
  if (name === '' || name === 'identity' || body.byteLength === 0) return body;
  const decode = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
  if (decode === undefined) return new Error('the answer has a content encoding that was not asked for');
  try {
    return decode(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return 'tooLarge';
    return new Error(`the answer is not valid ${name}`, { cause });
  }
}
