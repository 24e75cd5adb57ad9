/** What `hydrogen connections` does, once it knows whom to ask. */

import { HydrogenError } from '../../runtime/errors.ts';
import { columns, type Format, formatted, printable } from '../output.ts';
import { askManagement, type ManagementPlace } from './management.ts';
import { type PlaceOptions, withManagement } from './place.ts';

/** Which connections; those that fit all of them. */
export interface Filters {
  readonly endpoint?: string;
  readonly user?: string;
  readonly channel?: string;
}

export interface ShowOptions extends PlaceOptions {
  /** For a program. @default - text for a person */
  readonly output?: Format;
}

export interface ConnectionListOptions extends ShowOptions, Filters {
  readonly limit: number;
  readonly cursor?: string;
}

export interface DisconnectOptions extends PlaceOptions, Filters {
  /** @default - 1008, which cannot be named */
  readonly code?: number;
  readonly reason: string;
  readonly dryRun?: boolean;
}

export interface Printed {
  readonly text: string;
  /** For stderr. */
  readonly notes: readonly string[];
  /** False when gateways did not answer, or something could not be done. */
  readonly isComplete: boolean;
}

/** A connection as the API describes it. */
interface Described {
  readonly connection_id: string;
  readonly endpoint: string;
  readonly user?: string;
  readonly channels?: readonly string[];
  readonly state: string;
  readonly remote_address: string;
  readonly connected_at: string;
}

interface Listed {
  readonly connections: number;
  readonly unanswered: number;
  readonly items: readonly Described[];
  readonly cursor?: string | undefined;
}

/** As many as the API puts on a page. */
const pageSize = 1_000;
/** Connections that are closed at once. */
const maxClosing = 16;

export async function listConnections(options: ConnectionListOptions): Promise<Printed> {
  const listed = await withManagement(options, ['Read'], (place) =>
    fetchList(place, options, options.limit, options.cursor),
  );
  const { items, connections, unanswered, cursor } = listed;
  const text = options.output === undefined ? tableOf(items) : formatted(listed, options.output);
  const more =
    cursor === undefined ? [] : [`${items.length} of ${connections} connections; continue with --cursor ${cursor}`];
  return { text, notes: [...more, ...missing(unanswered)], isComplete: unanswered === 0 };
}

export async function showConnection(id: string, options: ShowOptions): Promise<Printed> {
  const path = `/connections/${encodeURIComponent(id)}`;
  const connection = await withManagement(options, ['Read'], (place) => askManagement(place, { method: 'GET', path }));
  const rows = Object.entries(connection).map(([name, value]) => [name, printable(plain(value))]);
  const text = options.output === undefined ? `${columns(rows)}\n` : formatted(connection, options.output);
  return { text, notes: [], isComplete: true };
}

/** @param ids those to close; none: all that fit the filters */
export async function disconnect(ids: readonly string[], options: DisconnectOptions): Promise<Printed> {
  const { endpoint, user, channel, dryRun = false } = options;
  // One request closes all connections of one user or of one channel; anything else is listed first.
  const isListed =
    ids.length === 0 && (dryRun || endpoint !== undefined || (user !== undefined && channel !== undefined));
  return withManagement(options, isListed ? ['Read', 'Disconnect'] : ['Disconnect'], async (place) => {
    if (ids.length > 0) return dryRun ? wouldClose(ids) : closeEach(place, ids, options, 0, true);
    if (!isListed) return closeAddressed(place, options);
    const { items, unanswered } = await fetchList(place, options, Number.MAX_SAFE_INTEGER, undefined);
    const found = items.map(({ connection_id }) => connection_id);
    if (!dryRun) return closeEach(place, found, options, unanswered, false);
    const { text, notes } = wouldClose(found);
    const table = items.length > 0 ? tableOf(items) : '';
    return { text: table + text, notes: [...notes, ...missing(unanswered)], isComplete: unanswered === 0 };
  });
}

function wouldClose(ids: readonly string[]): Printed {
  return { text: `would disconnect ${ids.length}\n`, notes: [], isComplete: true };
}

async function closeAddressed(place: ManagementPlace, options: DisconnectOptions): Promise<Printed> {
  const { user, channel, code, reason } = options;
  const path = user === undefined ? '/channels/_disconnect' : '/users/_disconnect';
  const request = { method: 'POST', path, query: { user, channel, code }, body: reason } as const;
  const { connections, unanswered } = (await askManagement(place, request)) as unknown as Listed;
  return { text: `disconnected ${connections}\n`, notes: missing(unanswered), isComplete: unanswered === 0 };
}

/** @param isNamed true: one that is gone is a failure, because somebody asked for it by its id */
async function closeEach(
  place: ManagementPlace,
  ids: readonly string[],
  { code, reason }: DisconnectOptions,
  unanswered: number,
  isNamed: boolean,
): Promise<Printed> {
  const waiting = [...new Set(ids)];
  const failed: string[] = [];
  let closed = 0;
  const work = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      const path = `/connections/${encodeURIComponent(id)}/_disconnect`;
      try {
        await askManagement(place, { method: 'POST', path, query: { code }, body: reason });
        closed += 1;
      } catch (error) {
        if (!(error instanceof HydrogenError)) throw error;
        if (error.code !== 'HYD_CONNECTION_GONE' || isNamed) failed.push(`${printable(id)}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: maxClosing }, work));
  const notes = [...failed, ...missing(unanswered)];
  return { text: `disconnected ${closed}\n`, notes, isComplete: notes.length === 0 };
}

/** As many pages as it takes. */
async function fetchList(
  place: ManagementPlace,
  { endpoint, user, channel }: Filters,
  limit: number,
  cursor: string | undefined,
): Promise<Listed> {
  const items: Described[] = [];
  let unanswered = 0;
  let next = cursor;
  for (;;) {
    const size = Math.min(pageSize, limit - items.length);
    const query = { endpoint, user, channel, limit: size, cursor: next };
    const request = { method: 'GET', path: '/connections', query } as const;
    const page = (await askManagement(place, request)) as unknown as Listed;
    items.push(...page.items);
    unanswered = Math.max(unanswered, page.unanswered);
    next = page.cursor;
    if (next === undefined || items.length >= limit) {
      return { connections: page.connections, unanswered, items, cursor: next };
    }
  }
}

function tableOf(items: readonly Described[]): string {
  if (items.length === 0) return 'no connections\n';
  const head = ['CONNECTION', 'ENDPOINT', 'USER', 'CHANNELS', 'STATE', 'ADDRESS', 'CONNECTED AT'];
  const rows = items.map((one) => [
    one.connection_id,
    printable(one.endpoint),
    printable(one.user ?? '-'),
    printable(one.channels?.join(',') || '-'),
    one.state,
    printable(one.remote_address),
    one.connected_at,
  ]);
  return `${columns([head, ...rows])}\n`;
}

function missing(unanswered: number): string[] {
  if (unanswered === 0) return [];
  const who = unanswered === 1 ? 'one gateway' : `${unanswered} gateways`;
  return [`${who} did not answer: their connections are left out`];
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join(',') || '-';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
