/**
 * What routing decides for a message, and what it needs from outside to do so. Routing never calls anybody itself:
 * `processor/` hands in how destinations are prepared and how the rules engine is asked.
 */

import type { Header, HydrogenMessageProcessorSpec } from '../../crds/index.ts';
import type { Delivery } from '../bus/port/messages.ts';
import type { ErrorCode } from '../errors.ts';

export interface RouteSpec {
  readonly url: string;
  /** Values, or references to secrets. */
  readonly headers: readonly Header[];
  readonly timeoutMs: number;
  readonly reply: boolean;
}

/** `D` is a prepared destination; routing hands it through and never looks inside. */
export type Route<D> =
  | { readonly kind: 'destination'; readonly destination: D; readonly rule: string }
  | { readonly kind: 'unmatched' }
  /** What becomes of the message follows from `error`: see the table in errors.ts. */
  | {
      readonly kind: 'failed';
      readonly error: ErrorCode;
      /** For people; holds nothing of payloads. */
      readonly detail: string;
      readonly status?: number;
      readonly retryAfterMs?: number;
    }
  /** The process is stopping: nothing was decided. */
  | { readonly kind: 'abandoned' };

export interface Router<D> {
  /** At once where rules decide; a promise, which never rejects, where the rules engine is asked. */
  route(delivery: Delivery): Route<D> | Promise<Route<D>>;
}

/** The rules engine's answer as it came over the wire. */
export type EngineAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly body: Uint8Array; readonly retryAfterMs?: number }
  | { readonly kind: 'failed'; readonly error: ErrorCode; readonly detail: string }
  | { readonly kind: 'abandoned' };

export interface RouterDeps<D> {
  /** @throws {HydrogenError} HYD_CONFIG_INVALID when the URL can't be a destination */
  prepare(spec: RouteSpec): D;
  /** Posts the delivery and reads at most `maxAnswerBytes` of the answer. Never rejects. */
  ask(engine: D, delivery: Delivery, maxAnswerBytes: number): Promise<EngineAnswer>;
}

/** `spec.routing` of a message processor: exactly one of `rules` and `rulesEngine`. */
export type Routing = Pick<HydrogenMessageProcessorSpec['routing'], 'rules' | 'rulesEngine'>;
