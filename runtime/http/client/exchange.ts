/**
 * One open POST: undici's handler, the timer and the abort listener in one object, so that a call allocates little.
 * It settles once with the outcome, and leaves the gate once when undici is done with it; either may come first.
 *
 * A server may close an idle connection just as a request leaves on it (RFC 9112 section 9.3.1). A request on a reused
 * connection that fails before the first byte of an answer is therefore sent once more, on a new connection, within the
 * time that is left. Repeating a POST needs semantics known to be idempotent (RFC 9110 section 9.2.2): our requests
 * name their message or connection, and all of them are documented to arrive at least once.
 */

import type { Dispatcher } from 'undici';
import type { CallResult, HttpAnswer, HttpRequest, Target } from './call.ts';
import type { Carried, Carrier, Connections } from './connections.ts';
import { decodeBody } from './decoding.ts';
import type { Admissible, CallGate } from './gate.ts';

type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

const noBody = Buffer.alloc(0);
/** The error with which a call is aborted in undici; nobody ever sees it. */
const cutError = new Error('the call was cut');

class ReceivedAnswer implements HttpAnswer {
  readonly kind = 'answer';
  readonly status: number;
  readonly body: Uint8Array;
  readonly #headers: AnswerHeaders;

  constructor(status: number, headers: AnswerHeaders, body: Uint8Array) {
    this.status = status;
    this.body = body;
    this.#headers = headers;
  }

  headers(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === 'object' ? value[0] : value;
  }
}

/** `answered`: the first byte of an answer has arrived. */
type Progress = 'waiting' | 'sentOnNew' | 'sentOnReused' | 'answered';

export class Exchange implements Admissible, Carried {
  carrier: Carrier | undefined;
  readonly #connections: Connections;
  readonly #gate: CallGate;
  readonly #call: HttpRequest;
  readonly #target: Target;
  readonly #resolve: (result: CallResult) => void;
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #progress: Progress = 'waiting';
  #status = 0;
  #headers: AnswerHeaders = {};
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** True until it has its outcome. */
  #isWanted = true;

  constructor(
    connections: Connections,
    gate: CallGate,
    call: HttpRequest,
    target: Target,
    resolve: (result: CallResult) => void,
  ) {
    this.#connections = connections;
    this.#gate = gate;
    this.#call = call;
    this.#target = target;
    this.#resolve = resolve;
    this.#timer = setTimeout(onTimeout, call.timeoutMs, this);
    call.signal?.addEventListener('abort', this, { once: true });
  }

  send(): void {
    this.#connections.dispatch(this.#request(), this);
  }

  timeOut(): void {
    this.#cut(this.#failed({ kind: 'timeout' }));
  }

  abort(): void {
    this.#cut(this.#failed({ kind: 'aborted' }));
  }

  /** The abort signal calls this. */
  handleEvent(): void {
    this.abort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Undici answers a throw by dropping the request before anything is written; `abort` would cost the connection.
    if (!this.#isWanted) throw cutError;
    this.#controller = controller;
    this.#progress = this.carrier?.begin() === true ? 'sentOnReused' : 'sentOnNew';
  }

  onResponseStarted(): void {
    this.#progress = 'answered';
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#call.maxAnswerBytes) this.#cut(this.#failed({ kind: 'tooLarge', head: this.#head() }));
    else if (this.#call.readBody) this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#isWanted) this.#settle(this.#received());
    this.#gate.leave(this);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, cause: Error): void {
    if (this.#isWanted && this.#progress === 'sentOnReused') {
      this.#progress = 'waiting';
      this.#controller = undefined;
      this.#connections.dispatchAlone(this.#request(), this);
      return;
    }
    this.#settle(this.#failed({ kind: 'unreachable', cause }));
    this.#gate.leave(this);
  }

  #received(): CallResult {
    const [first = noBody] = this.#chunks;
    const sent = this.#chunks.length > 1 ? Buffer.concat(this.#chunks) : first;
    const coding = this.#headers['content-encoding'];
    if (!this.#call.readBody || coding === undefined) return new ReceivedAnswer(this.#status, this.#headers, sent);
    const body = decodeBody(sent, String(coding), this.#call.maxAnswerBytes);
    if (body === 'tooLarge') return this.#failed({ kind: 'tooLarge', head: this.#head() });
    if (body instanceof Error) return this.#failed({ kind: 'unreachable', cause: body });
    return new ReceivedAnswer(this.#status, this.#headers, body);
  }

  #request(): Dispatcher.DispatchOptions {
    const { method = 'POST', headers, body } = this.#call;
    const { origin, path } = this.#target;
    // Undici reads the headers and never writes to them, whatever its type says.
    return { origin, path, method, headers: headers as string[], body };
  }

  /** A failure after the status line counts as the answer if the body was not asked for. */
  #failed(failure: Exclude<CallResult, HttpAnswer>): CallResult {
    if (this.#status === 0) return failure;
    return this.#call.readBody ? { ...failure, head: this.#head() } : this.#head();
  }

  #head(): ReceivedAnswer {
    return new ReceivedAnswer(this.#status, this.#headers, noBody);
  }

  #cut(result: CallResult): void {
    if (!this.#isWanted) return;
    this.#settle(result);
    if (this.#controller !== undefined) this.#controller.abort(cutError);
    else if (this.#gate.isWaiting(this)) this.#gate.leave(this);
  }

  #settle(result: CallResult): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#chunks = [];
    clearTimeout(this.#timer);
    this.#call.signal?.removeEventListener('abort', this);
    this.#resolve(result);
  }
}

function onTimeout(exchange: Exchange): void {
  exchange.timeOut();
}
