/**
 * Requests over a link: one wildcard subscription for every answer, a number per request, one timer for all. It also
 * has the JetStream API, which consists of requests with JSON bodies.
 */

import type { Msg } from 'nats';
import { HydrogenError } from '../../errors.ts';
import type { Closable } from '../port/peers.ts';
import type { Link } from './connection.ts';
import { isNoResponders } from './wire.ts';

export type RequestOutcome =
  | { readonly kind: 'answer'; readonly msg: Msg }
  | { readonly kind: 'nobody' }
  /** `isDenied`: the server has not passed it on, since this login may not publish to the subject. */
  | { readonly kind: 'timeout'; readonly isDenied?: boolean }
  | { readonly kind: 'down' };

export interface Requests {
  /** @param headers a complete header block */
  send(subject: string, payload: Uint8Array, timeoutMs: number, headers?: string): Promise<RequestOutcome>;
  /**
   * As `send`, for any number of answers, until it is closed; undefined when the link is down. What the server says by
   * itself, such as that nobody listens, is no answer.
   */
  open(subject: string, payload: Uint8Array, onAnswer: (answer: Uint8Array) => void): Closable | undefined;
  /**
   * One round trip through the server. Resolves with true once it has read and passed on everything that was published
   * before; with false when the link is down or lost, or that took longer. Never rejects.
   */
  confirm(timeoutMs: number): Promise<boolean>;
  /**
   * One call of the JetStream API, `subject` without `$JS.API.`.
   * @throws {JetStreamError} when the server refuses
   * @throws {HydrogenError} HYD_BUS_UNREACHABLE when the server can't be reached, does not answer in time, or does not
   * let this login make the call
   */
  api<T>(subject: string, body?: unknown): Promise<T>;
}

/** A refusal of the JetStream API. `code` is the server's `err_code`; `isTransient`: it may succeed later. */
export class JetStreamError extends Error {
  readonly code: number;
  readonly isTransient: boolean;

  constructor(code: number, description: string, isTransient: boolean) {
    super(`${description} (${code})`);
    this.name = 'JetStreamError';
    this.code = code;
    this.isTransient = isTransient;
  }
}

/** The codes that callers branch on. */
export const jetStreamCodes = {
  consumerNotFound: 10014,
  /** It exists with another configuration. */
  consumerExists: 10148,
  messageNotFound: 10037,
  sequenceNotFound: 10043,
  deleteFailed: 10057,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  consumerMissing: 10149,
} as const;

interface Waiting {
  readonly subject: string;
  readonly resolve: (reply: RequestOutcome) => void;
  readonly deadlineMs: number;
  isDenied: boolean;
}

const sweepMs = 25;
const apiTimeoutMs = 5000;
const nothing = new Uint8Array(0);

export function createRequests(link: Link): Requests {
  const inbox = `${link.inbox}.r.`;
  const waiting = new Map<number, Waiting>();
  const open = new Map<number, (answer: Uint8Array) => void>();
  let last = 0;
  let sweeper: NodeJS.Timeout | undefined;

  function take(slot: number): Waiting | undefined {
    const one = waiting.get(slot);
    waiting.delete(slot);
    if (waiting.size === 0) {
      clearInterval(sweeper);
      sweeper = undefined;
    }
    return one;
  }

  function sweep(): void {
    const now = performance.now();
    for (const [slot, { deadlineMs, isDenied }] of waiting) {
      if (deadlineMs <= now) take(slot)?.resolve({ kind: 'timeout', isDenied });
    }
  }

  link.subscribe(`${inbox}*`, (msg) => {
    const slot = Number(msg.subject.slice(inbox.length));
    const onAnswer = open.get(slot);
    if (onAnswer !== undefined) {
      if (!isNoResponders(msg)) onAnswer(msg.data);
      return;
    }
    const one = take(slot);
    one?.resolve(isNoResponders(msg) ? { kind: 'nobody' } : { kind: 'answer', msg });
  });
  // Whether it arrived is unknown, so it counts as unanswered.
  link.onStatus((status) => {
    if (status !== 'up') for (const slot of waiting.keys()) take(slot)?.resolve({ kind: 'timeout' });
  });

  link.onDenied((subject) => {
    for (const one of waiting.values()) if (one.subject === subject) one.isDenied = true;
  });

  async function send(
    subject: string,
    payload: Uint8Array,
    timeoutMs: number,
    headers?: string,
  ): Promise<RequestOutcome> {
    const slot = ++last;
    if (!link.publish(subject, payload, inbox + slot, headers)) return { kind: 'down' };
    return answered(slot, subject, timeoutMs);
  }

  // A message to ourselves comes back behind whatever was published before it.
  async function confirm(timeoutMs: number): Promise<boolean> {
    const slot = ++last;
    if (!link.publish(inbox + slot, nothing)) return false;
    return (await answered(slot, inbox + slot, timeoutMs)).kind === 'answer';
  }

  function answered(slot: number, subject: string, timeoutMs: number): Promise<RequestOutcome> {
    return new Promise((resolve) => {
      waiting.set(slot, { subject, resolve, deadlineMs: performance.now() + timeoutMs, isDenied: false });
      sweeper ??= setInterval(sweep, sweepMs);
    });
  }

  return {
    send,
    open: (subject, payload, onAnswer) => {
      const slot = ++last;
      if (!link.publish(subject, payload, inbox + slot)) return undefined;
      open.set(slot, onAnswer);
      return { close: () => void open.delete(slot) };
    },
    confirm,
    api: async <T>(subject: string, body?: unknown): Promise<T> => {
      const payload = body === undefined ? nothing : Buffer.from(JSON.stringify(body));
      const reply = await send(`$JS.API.${subject}`, payload, apiTimeoutMs);
      if (reply.kind === 'timeout' && reply.isDenied) {
        throw new HydrogenError('HYD_BUS_UNREACHABLE', `NATS does not let this login publish to $JS.API.${subject}`);
      }
      if (reply.kind !== 'answer') throw new HydrogenError('HYD_BUS_UNREACHABLE', `JetStream: ${reply.kind}`);
      const answer = JSON.parse(reply.msg.string()) as {
        error?: { err_code?: number; code?: number; description?: string };
      };
      const { error } = answer;
      if (error === undefined) return answer as T;
      throw new JetStreamError(error.err_code ?? 0, error.description ?? 'refused', error.code === 503);
    },
  };
}

/** True when this is a refusal of the JetStream API with one of these codes. */
export function isRefused(err: unknown, ...codes: number[]): boolean {
  return err instanceof JetStreamError && codes.includes(err.code);
}
