/**
 * The body that a destination receives, written once by the gateway and carried as it is: a message processor forwards
 * the bytes and reads them only when a rule needs the text.
 */

/** What stays the same for every message of a connection. */
export interface EnvelopeFacts {
  readonly instanceId: string;
  readonly groupId: string;
  readonly connectionId: string;
  readonly endpoint: string;
  /** Who the client is; undefined: nobody said. */
  readonly user: string | undefined;
  /** JSON of what the authorizer said, which stays as it is. */
  readonly context: string;
}

/** The JSON of a connection's unchanging fields, without the closing brace: computed once per connection. */
export function envelopePrefix(facts: EnvelopeFacts): string {
  const { instanceId, groupId, connectionId, endpoint, user, context } = facts;
  const ids = { instance_id: instanceId, group_id: groupId, connection_id: connectionId, endpoint, user };
  return `${JSON.stringify(ids).slice(0, -1)},"context":{"authorizer":${context}}`;
}

/** Writes the body of one client message; see `createEnvelopeWriter`. */
export type WriteEnvelope = (
  prefix: string,
  data: Buffer,
  isBinary: boolean,
  timeMs: number,
  callbackUrl: string,
) => Buffer;

/**
 * The writer takes a prefix of `envelopePrefix`, a text frame's UTF-8 (`message_encoding: text`) or a binary frame's
 * bytes (`base64`), and the base URL of the management API (empty: none). It remembers the last time stamp and URL: many
 * messages share a millisecond, and formatting a date costs more than the rest of the envelope of a short one.
 */
export function createEnvelopeWriter(): WriteEnvelope {
  let lastMs = Number.NaN;
  let lastUrl = '';
  let standing = '';
  return (prefix, data, isBinary, timeMs, callbackUrl) => {
    if (timeMs !== lastMs || callbackUrl !== lastUrl) {
      lastMs = timeMs;
      lastUrl = callbackUrl;
      const callback = callbackUrl === '' ? '' : `"callback":${JSON.stringify(callbackUrl)},`;
      standing = `${callback}"time":"${new Date(timeMs).toISOString()}"`;
    }
    return Buffer.from(
      isBinary
        ? `${prefix},${standing},"message":"${data.toString('base64')}","message_encoding":"base64"}`
        : `${prefix},${standing},"message":${JSON.stringify(data.toString('utf8'))},"message_encoding":"text"}`,
    );
  };
}
