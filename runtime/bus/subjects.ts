/**
 * Every subject, stream and bucket name of a group, and how a subject is parsed. Nothing becomes a token of a subject
 * unless it is checked or encoded here, so that no client, path or name can reach another's subject.
 */

import { HydrogenError } from '../errors.ts';
import { nameProblem } from '../names.ts';
import type { Address } from './port/peers.ts';

/** Number of partitions that the connections of a group are divided into; a wire constant. */
export const partitionCount = 256;
/** Number of lanes of entries; a wire constant. The lane of a connection is its partition modulo this. */
export const entryLanes = 16;

/** The fields in the subject of a client message. */
export interface ClientSubject {
  readonly partition: number;
  readonly endpoint: string;
  readonly connectionId: string;
}

/** The fields in the subject of an entry: one stored message that holds several client messages. */
export interface EntrySubject {
  readonly lane: number;
  readonly endpoint: string;
  /** The connection that all of its messages are from; undefined: any connections of the lane. */
  readonly connectionId: string | undefined;
}

/** What a filter of entries covers. */
export interface EntryFilter {
  /** Undefined: every lane. */
  readonly lane: number | undefined;
  /** Undefined: every endpoint. */
  readonly endpoint: string | undefined;
}

/** The fields in the subject of a message in a waiting room. */
export interface WaitingSubject extends ClientSubject {
  readonly processor: string;
  readonly room: string;
}

/** The names of one group on the bus. */
export interface Subjects {
  readonly group: string;
  /** Stream of client messages. */
  readonly stream: string;
  readonly deadLetterStream: string;
  /** Stream of the messages in waiting rooms. */
  readonly waitingStream: string;
  /** Key-value bucket of the leases: one key per gateway instance. */
  readonly leaseBucket: string;
  /** Key-value bucket of the owners of lanes: one key per replica of an ordered processor. */
  readonly ownerBucket: string;
  /** The subjects that the stream of client messages stores. */
  readonly allClientMessages: string;
  readonly allDeadLetters: string;
  readonly allWaiting: string;
  readonly broadcast: string;
  /** Announcements of what consumers will cover, from processors and the operator to gateways. */
  readonly announcements: string;
  /** What pods run and what they have refused, from pods to the operator. */
  readonly reports: string;
  /** The operator asks every pod for its report. */
  readonly reportsWanted: string;
  /**
   * @throws {HydrogenError} HYD_CONNECTION_ID_INVALID when the id is not a valid token, HYD_CONFIG_INVALID for an empty
   * path
   */
  clientMessage(endpoint: string, connectionId: string): string;
  /**
   * The lane of entries that a connection belongs to.
   * @throws what `clientMessage` throws
   */
  laneOf(endpoint: string, connectionId: string): number;
  /** An entry. @param connectionId undefined: shared by the connections of the lane. @throws what `clientMessage` throws */
  entry(endpoint: string, lane: number, connectionId: string | undefined): string;
  /** Disjoint filters that cover the entries of the given endpoints (undefined: all), in every lane. */
  entryFilters(endpoints: readonly string[] | undefined): string[];
  /** Undefined when it is not a filter of entries. */
  parseEntryFilter(filter: string): EntryFilter | undefined;
  /** Undefined when it is not the subject of an entry of this group. */
  parseEntry(subject: string): EntrySubject | undefined;
  /** @throws {HydrogenError} HYD_CONNECTION_ID_INVALID when the id is not a valid token */
  instance(instanceId: string): string;
  /** @throws {HydrogenError} HYD_ADDRESS_INVALID for what is no name */
  address(address: Address): string;
  /** Covers every address. */
  readonly allAddresses: string;
  /** @throws {HydrogenError} HYD_CONFIG_INVALID when the name is not a valid token */
  deadLetters(processor: string): string;
  /**
   * Disjoint filters that cover the given endpoints (undefined: all) in one lane of `lanes`: the partitions p with
   * p mod lanes = lane. They cover no entries.
   */
  filters(endpoints: readonly string[] | undefined, lane: number, lanes: number): string[];
  /** The same with the entries of that lane, if `lanes` divides the number of lanes of entries. */
  laneFilters(endpoints: readonly string[] | undefined, lane: number, lanes: number): string[];
  /** Undefined when it is not the subject of a client message of this group. */
  parseClientMessage(subject: string): ClientSubject | undefined;
  /**
   * A message in a waiting room of a processor.
   * @throws {HydrogenError} HYD_CONFIG_INVALID, HYD_CONNECTION_ID_INVALID
   */
  waitingMessage(processor: string, room: string, endpoint: string, connectionId: string): string;
  /** Covers one waiting room of a processor. @throws {HydrogenError} HYD_CONFIG_INVALID */
  waitingRoom(processor: string, room: string): string;
  /** Covers all waiting rooms of a processor. @throws {HydrogenError} HYD_CONFIG_INVALID when the name is not a valid token */
  waitingRooms(processor: string): string;
  /**
   * Covers the messages of a connection in every waiting room of every processor.
   * @throws {HydrogenError} HYD_CONNECTION_ID_INVALID
   */
  waitingOf(endpoint: string, connectionId: string): string;
  /** Undefined when it is not the subject of a message in a waiting room of this group. */
  parseWaitingMessage(subject: string): WaitingSubject | undefined;
}

const tokenPattern = /^[A-Za-z0-9_-]+$/;
const connectionPattern = /^[A-Za-z0-9-]+$/;
const cachedTokens = 1024;
const maxRoomBytes = 300;
/** In the place of a partition: what follows is the subject of an entry. */
const entryToken = 'e';
/** In a filter, in the place of a lane, a partition or an endpoint: every one. */
const everyToken = '*';
/** In the place of a connection: shared. No connection id contains it. */
const sharedToken = '_';

/**
 * Names for a group, `<namespace>_<name>` in a cluster.
 * @throws {HydrogenError} HYD_CONFIG_INVALID when it is not a valid token
 */
export function createSubjects(group: string): Subjects {
  const prefix = `hydrogen.${checkedName(group)}`;
  const clientPrefix = `${prefix}.c2s.`;
  const entryPrefix = `${clientPrefix}${entryToken}.`;
  const waitingPrefix = `${prefix}.wait.`;
  const endpointToken = cached(encodeEndpoint);
  const roomToken = cached((room) => encodeToken(checkedRoom(room)));
  const decode = cached(decodeEndpoint);

  /** Reads `<partition>.<endpoint>.<connection id>`, which begins at `from`. */
  const parseClient = (subject: string, from: number): ClientSubject | undefined => {
    const endpointAt = subject.indexOf('.', from) + 1;
    const connectionAt = subject.indexOf('.', endpointAt) + 1;
    if (endpointAt === 0 || connectionAt === 0) return undefined;
    const partition = Number(subject.slice(from, endpointAt - 1));
    const connectionId = subject.slice(connectionAt);
    if (!connectionPattern.test(connectionId) || partitionOf(connectionId) !== partition) return undefined;
    const endpoint = decode(subject.slice(endpointAt, connectionAt - 1));
    return endpoint === undefined ? undefined : { partition, endpoint, connectionId };
  };
  const parseEntry = (subject: string): EntrySubject | undefined => {
    if (!subject.startsWith(entryPrefix)) return undefined;
    const [laneToken = '', token = '', who = '', ...rest] = subject.slice(entryPrefix.length).split('.');
    const lane = Number(laneToken);
    const endpoint = decode(token);
    if (endpoint === undefined || rest.length > 0 || `${lane}` !== laneToken || !(lane >= 0 && lane < entryLanes))
      return undefined;
    if (who === sharedToken) return { lane, endpoint, connectionId: undefined };
    if (!connectionPattern.test(who) || laneOfConnection(who) !== lane) return undefined;
    return { lane, endpoint, connectionId: who };
  };
  const parseEntryFilter = (filter: string): EntryFilter | undefined => {
    if (!filter.startsWith(entryPrefix)) return undefined;
    const [lane = '', token = ''] = filter.slice(entryPrefix.length).split('.');
    const endpoint = token === everyToken ? undefined : decode(token);
    if (endpoint === undefined && token !== everyToken) return undefined;
    return { lane: lane === everyToken ? undefined : Number(lane), endpoint };
  };
  /** Disjoint filters of the entries of the given endpoints in the given lanes. */
  const entryFilters = (endpoints: readonly string[] | undefined, lanes: readonly (number | string)[]): string[] => {
    const tokens = endpoints === undefined ? [everyToken] : [...new Set(endpoints)].map(endpointToken);
    return lanes.flatMap((lane) => tokens.map((token) => `${entryPrefix}${lane}.${token}.*`));
  };
  const filters = (endpoints: readonly string[] | undefined, lane: number, lanes: number): string[] => {
    const tokens = endpoints === undefined ? undefined : [...new Set(endpoints)].map(endpointToken);
    const shares = lanes === 1 ? [everyToken] : partitionsOf(lane, lanes);
    if (tokens === undefined)
      return lanes === 1 ? [`${clientPrefix}*.*.*`] : shares.map((p) => `${clientPrefix}${p}.>`);
    return shares.flatMap((partition) => tokens.map((token) => `${clientPrefix}${partition}.${token}.*`));
  };
  const waitingRooms = (processor: string): string => `${waitingPrefix}${checkedName(processor)}.>`;
  const room = (processor: string, name: string): string =>
    `${waitingPrefix}${checkedName(processor)}.${roomToken(name)}.`;
  const client = (endpoint: string, connectionId: string): string =>
    `${partitionOf(connectionId)}.${endpointToken(endpoint)}.${checkedId(connectionId)}`;

  return {
    group,
    stream: `HYDROGEN_${group}`,
    deadLetterStream: `HYDROGEN_${group}_DLQ`,
    waitingStream: `HYDROGEN_${group}_WAIT`,
    leaseBucket: `hydrogen_${group}_instances`,
    ownerBucket: `hydrogen_${group}_owners`,
    allClientMessages: `${clientPrefix}>`,
    allDeadLetters: `${prefix}.dlq.*`,
    allWaiting: `${waitingPrefix}>`,
    broadcast: `${prefix}.broadcast`,
    announcements: `${prefix}.consumers`,
    reports: `${prefix}.reports`,
    reportsWanted: `${prefix}.reports.wanted`,
    clientMessage: (endpoint, connectionId) => clientPrefix + client(endpoint, connectionId),
    laneOf: (endpoint, connectionId) => {
      endpointToken(endpoint);
      return laneOfConnection(checkedId(connectionId));
    },
    entry: (endpoint, lane, connectionId) =>
      `${entryPrefix}${lane}.${endpointToken(endpoint)}.${connectionId === undefined ? sharedToken : checkedId(connectionId)}`,
    entryFilters: (endpoints) => entryFilters(endpoints, [everyToken]),
    parseEntryFilter,
    parseEntry,
    instance: (instanceId) => `${prefix}.instance.${checkedId(instanceId)}`,
    allAddresses: `${prefix}.to.>`,
    address: (address) => {
      const to = `${prefix}.to.${address.kind}`;
      return 'name' in address ? `${to}.${encodeToken(checkedAddressName(address))}` : to;
    },
    deadLetters: (processor) => `${prefix}.dlq.${checkedName(processor)}`,
    filters,
    laneFilters: (endpoints, lane, lanes) => [
      ...filters(endpoints, lane, lanes),
      ...entryFilters(endpoints, entryLanesOf(lane, lanes)),
    ],
    parseClientMessage: (subject) =>
      subject.startsWith(clientPrefix) ? parseClient(subject, clientPrefix.length) : undefined,
    waitingMessage: (processor, name, endpoint, connectionId) => room(processor, name) + client(endpoint, connectionId),
    waitingRoom: (processor, name) => `${room(processor, name)}>`,
    waitingRooms,
    waitingOf: (endpoint, connectionId) => `${waitingPrefix}*.*.${client(endpoint, connectionId)}`,
    parseWaitingMessage: (subject) => {
      if (!subject.startsWith(waitingPrefix)) return undefined;
      const roomAt = subject.indexOf('.', waitingPrefix.length) + 1;
      const clientAt = subject.indexOf('.', roomAt) + 1;
      if (roomAt === 0 || clientAt === 0) return undefined;
      const processor = subject.slice(waitingPrefix.length, roomAt - 1);
      const name = decode(subject.slice(roomAt, clientAt - 1));
      const message = parseClient(subject, clientAt);
      if (name === undefined || message === undefined || !tokenPattern.test(processor)) return undefined;
      return { processor, room: name, ...message };
    },
  };
}

/** The same function, which remembers its first answers. */
function cached<T>(compute: (text: string) => T): (text: string) => T {
  const answers = new Map<string, T>();
  return (text) => {
    const known = answers.get(text);
    if (known !== undefined) return known;
    const answer = compute(text);
    if (answers.size < cachedTokens) answers.set(text, answer);
    return answer;
  };
}

/** Partition of a connection, 0 to 255: FNV-1a (32 bits) of its id, modulo 256. The same in every process and version. */
export function partitionOf(connectionId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < connectionId.length; i++) {
    hash = Math.imul(hash ^ connectionId.charCodeAt(i), 0x01000193);
  }
  return hash & (partitionCount - 1);
}

/** Lane of a connection's entries, 0 to 15. The same in every process and version. */
export function laneOfConnection(connectionId: string): number {
  return partitionOf(connectionId) % entryLanes;
}

/** A path as one token: `[A-Za-z0-9_-]` stay, every other UTF-8 byte is `=XX`. @throws {HydrogenError} HYD_CONFIG_INVALID when empty */
export function encodeEndpoint(endpoint: string): string {
  if (endpoint === '') throw new HydrogenError('HYD_CONFIG_INVALID', 'an endpoint path is empty');
  return encodeToken(endpoint);
}

/** The name of a waiting room itself, if it is valid. @throws {HydrogenError} HYD_CONFIG_INVALID */
export function checkedRoom(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes > 0 && bytes <= maxRoomBytes) return name;
  throw new HydrogenError(
    'HYD_CONFIG_INVALID',
    `the name of a waiting room has ${bytes} bytes, not 1 to ${maxRoomBytes}`,
  );
}

function checkedAddressName({ kind, name }: Extract<Address, { name: string }>): string {
  const problem = nameProblem(name);
  if (problem === undefined) return name;
  throw new HydrogenError('HYD_ADDRESS_INVALID', `${kind} ${problem}`);
}

function encodeToken(text: string): string {
  let token = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    const char = String.fromCharCode(byte);
    token += tokenPattern.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token;
}

/** The path that `encodeEndpoint` turned into this token; undefined when there is none. */
export function decodeEndpoint(token: string): string | undefined {
  if (!/^(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+$/.test(token)) return undefined;
  const bytes = token.replace(/=(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const endpoint = Buffer.from(bytes, 'latin1').toString('utf8');
  return encodeEndpoint(endpoint) === token ? endpoint : undefined;
}

/** The partitions of one lane of `lanes`. */
function partitionsOf(lane: number, lanes: number): number[] {
  const partitions: number[] = [];
  for (let partition = lane; partition < partitionCount; partition += lanes) partitions.push(partition);
  return partitions;
}

/** The lanes of entries whose connections are all in one lane of `lanes`; none when such a lane holds only some of theirs. */
function entryLanesOf(lane: number, lanes: number): (number | string)[] {
  if (lanes === 1) return [everyToken];
  const all = Array.from({ length: entryLanes }, (_, one) => one);
  return entryLanes % lanes === 0 ? all.filter((one) => one % lanes === lane) : [];
}

/** The name itself, if it is valid as one token. @throws {HydrogenError} HYD_CONFIG_INVALID */
export function checkedName(name: string): string {
  if (tokenPattern.test(name)) return name;
  throw new HydrogenError(
    'HYD_CONFIG_INVALID',
    `${JSON.stringify(name)} may contain only letters, digits, "_" and "-"`,
  );
}

function checkedId(id: string): string {
  if (connectionPattern.test(id)) return id;
  throw new HydrogenError('HYD_CONNECTION_ID_INVALID', JSON.stringify(id.slice(0, 80)));
}
