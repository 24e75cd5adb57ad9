/**
 * What the destination of the comparison does with a request of each system: it finds the client's text in it and answers
 * with that text, in the form that the system expects.
 *
 *   /hydrogen            a delivery of hydrogen, of the floor or of the gateway written by hand
 *   /centrifugo          an RPC of Centrifugo's proxy
 *   /centrifugo/connect  a connect of Centrifugo's proxy
 *   /pushpin             WebSocket events of Pushpin
 *   /authorize           an authorizer that admits everyone
 *   /seen                the texts since the last GET /seen/reset: how many different ones, and when the last came
 *
 * A text that begins with `slow` is answered after two seconds, and `id?` with the connection's id.
 */

import type { CheapAnswer, CheapRequest } from './http-server.ts';
import { pushpinAnswer } from './pushpin-events.ts';

/** What GET /seen answers. */
export interface SeenTexts {
  readonly different: number;
  readonly repeated: number;
  /** Milliseconds of the destination's clock at the last new text; 0 before the first. */
  readonly lastMs: number;
}

const slowMs = 2_000;
const json = 'application/json';

export class EchoDestination {
  /** Undefined until the first reset: keeping every text of a long run would cost memory. */
  #texts: Set<string> | undefined;
  #repeated = 0;
  #lastMs = 0;

  /** @throws for a request that no system under test sends */
  answer({ method, path, body }: CheapRequest): CheapAnswer {
    if (method === 'GET')
      return path.startsWith('/seen') ? this.#readSeen(path === '/seen/reset') : ok('text/plain', '');
    switch (path) {
      case '/hydrogen': {
        const { message, connection_id: id } = JSON.parse(body) as { message: string; connection_id: string };
        return this.#echo(message, 'text/plain', message === 'id?' ? id : message);
      }
      case '/centrifugo': {
        const { data } = JSON.parse(body) as { data: string };
        return this.#echo(data, json, `{"result":{"data":${JSON.stringify(data)}}}`);
      }
      case '/centrifugo/connect':
        return ok(json, '{"result":{"user":"bench"}}');
      case '/pushpin':
        return ok('application/websocket-events', pushpinAnswer(body));
      case '/authorize':
        return ok(json, '{"context":{}}');
      default:
        throw new Error(`the destination has no ${path}`);
    }
  }

  #echo(text: string, type: string, body: string): CheapAnswer {
    this.#note(text);
    return text.startsWith('slow') ? { type, body, afterMs: slowMs } : { type, body };
  }

  #note(text: string): void {
    if (this.#texts === undefined) return;
    if (this.#texts.has(text)) {
      this.#repeated += 1;
      return;
    }
    this.#texts.add(text);
    this.#lastMs = performance.now();
  }

  #readSeen(isReset: boolean): CheapAnswer {
    const different = this.#texts?.size ?? 0;
    const seen: SeenTexts = { different, repeated: this.#repeated, lastMs: this.#lastMs };
    if (isReset) {
      this.#texts = new Set();
      this.#repeated = 0;
      this.#lastMs = 0;
    }
    return ok(json, JSON.stringify(seen));
  }
}

function ok(type: string, body: string): CheapAnswer {
  return { type, body };
}
