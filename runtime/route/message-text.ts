/** The part of a payload that rules match against. */

/**
 * Field `message` of the JSON that gateways write: the text, or for a binary frame its base64.
 * @returns undefined when the payload is not such a document
 */
export function readMessageText(payload: Uint8Array): string | undefined {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (err) {
    if (err instanceof SyntaxError) return undefined;
    throw err;
  }
  if (typeof document !== 'object' || document === null || !('message' in document)) return undefined;
  return typeof document.message === 'string' ? document.message : undefined;
}
