/**
 * What happened in a run, as plain records in the order in which they were noted. Everything that the checker knows is
 * in here. Times are milliseconds on one clock, that of the process that records; a client's connection is known by a
 * name of its own (`c3-2`: client 3, its second connection), which the authorizer puts into its context.
 */

import type { FaultKind } from './plan.ts';

/** What the answer to a request was: its status, or what a destination did instead of answering. */
export type Answered = number | 'hung' | 'reset' | 'aborted';

export type Ordering = 'Unordered' | 'PerConnection';

interface At {
  readonly atMs: number;
}

/** A client's connection. */
export interface Opened extends At {
  readonly kind: 'opened';
  readonly connection: string;
  /** Name of the gateway process. */
  readonly gateway: string;
}

/** Numbers count the messages of a connection from 1. */
export interface Sent extends At {
  readonly kind: 'sent';
  readonly connection: string;
  readonly number: number;
}

/** Somebody ends this connection: its client or a service closes it, or its client breaks it. */
export interface Closing extends At {
  readonly kind: 'closing';
  readonly connection: string;
  readonly by: 'client' | 'service' | 'break';
}

/** The client saw the end of its connection. */
export interface Closed extends At {
  readonly kind: 'closed';
  readonly connection: string;
  readonly code: number;
}

/** A request that a destination received completely. */
export interface Requested extends At {
  readonly kind: 'requested';
  readonly connection: string;
  readonly number: number;
  /** The header `hydrogen-attempt`. */
  readonly attempt: number;
  readonly outcome: Answered;
  /** When its answer was written. */
  readonly endedMs: number;
}

export interface DeadLettered extends At {
  readonly kind: 'deadLettered';
  readonly connection: string;
  readonly number: number;
  readonly attempts: number;
}

/** A push; its text is its name. */
export interface Pushed extends At {
  readonly kind: 'pushed';
  readonly connection: string;
  readonly push: string;
  /** 0: no answer. */
  readonly status: number;
  readonly endedMs: number;
}

export interface Received extends At {
  readonly kind: 'received';
  readonly connection: string;
  readonly push: string;
}

/** A disconnect hook was called. */
export interface Hooked extends At {
  readonly kind: 'hooked';
  readonly connection: string;
  /** What it answered. */
  readonly status: number;
}

/** The ordering or the partitions of the processor changed. */
export interface Reordered extends At {
  readonly kind: 'reordered';
  readonly ordering: Ordering;
}

/** A fault, once it is over. `target` names a process, a destination, a stream or a configuration. */
export interface Faulted extends At {
  readonly kind: 'faulted';
  readonly fault: FaultKind;
  readonly target: string;
  readonly endedMs: number;
}

/** A process got a signal that ends it. */
export interface Signalled extends At {
  readonly kind: 'signalled';
  readonly process: string;
  readonly signal: string;
}

export interface Ended extends At {
  readonly kind: 'ended';
  readonly process: string;
  /** The exit code or the signal. */
  readonly with: number | string;
}

export interface Measured extends At {
  readonly kind: 'measured';
  readonly process: string;
  readonly residentBytes: number;
  /** Share of one core while nothing was to be done; absent while the load ran. */
  readonly idleCpu?: number;
}

export type HistoryEvent =
  | Opened
  | Sent
  | Closing
  | Closed
  | Requested
  | DeadLettered
  | Pushed
  | Received
  | Hooked
  | Reordered
  | Faulted
  | Signalled
  | Ended
  | Measured;

export type History = readonly HistoryEvent[];

/** The events of one kind. */
export function eventsOf<Kind extends HistoryEvent['kind']>(
  history: History,
  kind: Kind,
): Extract<HistoryEvent, { kind: Kind }>[] {
  return history.filter((event): event is Extract<HistoryEvent, { kind: Kind }> => event.kind === kind);
}
