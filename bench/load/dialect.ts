/** How a client speaks to a system: what it says first, how it writes a message, and how it finds the answer. */

export interface Dialect {
  /** The first message of client `index`; it may use the connection once something answers. Undefined: at once. */
  greeting?(index: number): string;
  /** The frame that carries a text. */
  request(id: number, text: string): string;
  /** The texts in a frame of the server; none in one that only keeps the connection alive. */
  texts(frame: string): readonly string[];
  /** What to send at once for a frame of the server, if anything. */
  response?(frame: string): string | undefined;
}

/** A frame is the message. */
export const plain: Dialect = {
  request: (_id, text) => text,
  texts: (frame) => [frame],
};

const centrifugoPing = '{}';
const [dataBegin, dataEnd] = ['"data":"', '"}'];

/**
 * Centrifugo's JSON protocol: a command per frame, several replies in one, each on a line of its own. The text is the
 * `data` of an RPC or of a publication. It must not need escapes in JSON.
 */
export function centrifugoDialect(connect: (index: number) => object): Dialect {
  return {
    greeting: (index) => JSON.stringify({ id: 1, connect: connect(index) }),
    request: (id, text) => {
      const method = text.startsWith('slow') ? 'slow:echo' : 'echo';
      return `{"id":${id + 1},"rpc":{"method":"${method}","data":"${text}"}}`;
    },
    texts: (frame) => frame.split('\n').flatMap((line) => (line === centrifugoPing || line === '' ? [] : textOf(line))),
    response: (frame) => (frame === centrifugoPing ? centrifugoPing : undefined),
  };
}

function textOf(line: string): string[] {
  if (line.includes('"error":') || line.includes('"disconnect":')) throw new Error(`Centrifugo answered ${line}`);
  const begin = line.indexOf(dataBegin);
  if (begin < 0) return [];
  const end = line.indexOf(dataEnd, begin + dataBegin.length);
  return [line.slice(begin + dataBegin.length, end)];
}
