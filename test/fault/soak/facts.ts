/** A history sorted by what it is about, for the checks. */

import {
  type Closed,
  type Closing,
  type DeadLettered,
  eventsOf,
  type Faulted,
  type History,
  type Hooked,
  type Opened,
  type Reordered,
  type Requested,
  type Sent,
  type Signalled,
} from './history.ts';

export interface ConnectionFacts {
  readonly name: string;
  readonly opened: Opened;
  /** In the order of their numbers. */
  readonly messages: readonly MessageFacts[];
  /** The first of those who ended it. */
  readonly closing: Closing | undefined;
  /** True when its client broke it, whoever else was closing it. */
  readonly isBroken: boolean;
  /** Undefined: open at the end. */
  readonly closed: Closed | undefined;
  /** Calls of its disconnect hook. */
  readonly hooks: readonly Hooked[];
}

export interface MessageFacts {
  readonly sent: Sent;
  /** In the order of their arrival. */
  readonly requests: readonly Requested[];
  /** The first one that was consumed. */
  readonly delivery: Requested | undefined;
  readonly letter: DeadLettered | undefined;
}

export interface RunFacts {
  readonly history: History;
  readonly connections: ReadonlyMap<string, ConnectionFacts>;
  readonly faults: readonly Faulted[];
  readonly signals: readonly Signalled[];
  readonly orderings: readonly Reordered[];
  /** The pushes that clients received. */
  readonly received: ReadonlySet<string>;
}

export function factsOf(history: History): RunFacts {
  const requests = Map.groupBy(eventsOf(history, 'requested'), messageName);
  const letters = new Map(eventsOf(history, 'deadLettered').map((letter) => [messageName(letter), letter]));
  const closings = Map.groupBy(eventsOf(history, 'closing'), ({ connection }) => connection);
  const ends = new Map(eventsOf(history, 'closed').map((one) => [one.connection, one]));
  const hooks = Map.groupBy(eventsOf(history, 'hooked'), ({ connection }) => connection);
  const sent = Map.groupBy(eventsOf(history, 'sent'), ({ connection }) => connection);

  const messageFacts = (one: Sent): MessageFacts => {
    const own = (requests.get(messageName(one)) ?? []).toSorted((a, b) => a.atMs - b.atMs);
    const delivery = own
      .filter(({ outcome }) => isConsumed(outcome))
      .reduce<Requested | undefined>((a, b) => (a !== undefined && a.endedMs <= b.endedMs ? a : b), undefined);
    return { sent: one, requests: own, delivery, letter: letters.get(messageName(one)) };
  };
  const connections = eventsOf(history, 'opened').map((opened): [string, ConnectionFacts] => {
    const name = opened.connection;
    const messages = (sent.get(name) ?? []).map(messageFacts).toSorted((a, b) => a.sent.number - b.sent.number);
    const own = (closings.get(name) ?? []).toSorted((a, b) => a.atMs - b.atMs);
    const isBroken = own.some(({ by }) => by === 'break');
    const facts = {
      name,
      opened,
      messages,
      closing: own[0],
      isBroken,
      closed: ends.get(name),
      hooks: hooks.get(name) ?? [],
    };
    return [name, facts];
  });
  return {
    history,
    connections: new Map(connections),
    faults: eventsOf(history, 'faulted'),
    signals: eventsOf(history, 'signalled'),
    orderings: eventsOf(history, 'reordered'),
    received: new Set(eventsOf(history, 'received').map(({ push }) => push)),
  };
}

/** Delivered, or among the dead letters. */
export function isDone({ delivery, letter }: MessageFacts): boolean {
  return delivery !== undefined || letter !== undefined;
}

/** The name of a message in violations: `c3-2 17`. */
export function messageName({ connection, number }: { readonly connection: string; readonly number: number }): string {
  return `${connection} ${number}`;
}

/** True when the fault lasted at some time between the two. */
export function overlaps({ atMs, endedMs }: Faulted, fromMs: number, toMs: number): boolean {
  return atMs <= toMs && endedMs >= fromMs;
}

/** The names of the faults between these times, for a violation. */
export function faultsBetween({ faults }: RunFacts, fromMs: number, toMs: number): string {
  const names = faults.filter((one) => overlaps(one, fromMs, toMs)).map(({ fault, target }) => `${fault} ${target}`);
  return names.length === 0 ? 'no fault' : names.join(', ');
}

function isConsumed(outcome: Requested['outcome']): boolean {
  return typeof outcome === 'number' && outcome >= 200 && outcome < 300;
}
