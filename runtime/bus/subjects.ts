/**
 * Every subject, stream and bucket name of a group, and how a subject is parsed. Nothing becomes a token of a subject
 * unless it is checked or encoded here, so that no client, path or name can reach another's subject.
 */

import { HydrogenError } from '../errors.ts';

/** Number of partitions that the connections of a group are divided into; a wire constant. */
export const partitionCount = 256;

/** The fields in the subject of a client message. */
export interface ClientSubject {
  readonly partition: number;
  readonly endpoint: string;
  readonly connectionId: string;
}

/** The names of one group on the bus. */
export interface Subjects {
  readonly group: string;
  /** Stream of client messages. */
  readonly stream: string;
  readonly deadLetterStream: string;
  /** Key-value bucket of the leases: one key per gateway instance. */
  readonly leaseBucket: string;
  /** The subjects that the stream of client messages stores. */
  readonly allClientMessages: string;
  readonly allDeadLetters: string;
  readonly broadcast: string;
  /**
   * @throws {HydrogenError} HYD_CONNECTION_ID_INVALID when the id is not a valid token, HYD_CONFIG_INVALID for an empty
   * path
   */
  clientMessage(endpoint: string, connectionId: string): string;
  /** @throws {HydrogenError} HYD_CONNECTION_ID_INVALID when the id is not a valid token */
  instance(instanceId: string): string;
  /** @throws {HydrogenError} HYD_CONFIG_INVALID when the name is not a valid token */
  deadLetters(processor: string): string;
  /**
   * Disjoint filters that cover the given endpoints (undefined: all) in one lane of `lanes`: the partitions p with
   * p mod lanes = lane.
   */
  filters(endpoints: readonly string[] | undefined, lane: number, lanes: number): string[];
  /** Undefined when it is not the subject of a client message of this group. */
  parseClientMessage(subject: string): ClientSubject | undefined;
}

const tokenPattern = /^[A-Za-z0-9_-]+$/;
const connectionPattern = /^[A-Za-z0-9-]+$/;
const cachedEndpoints = 1024;

/**
 * Names for a group, `<namespace>_<name>` in a cluster.
 * @throws {HydrogenError} HYD_CONFIG_INVALID when it is not a valid token
 */
export function createSubjects(group: string): Subjects {
  const prefix = `hydrogen.${checkedName(group)}`;
  const clientPrefix = `${prefix}.c2s.`;
  const encoded = new Map<string, string>();
  const decoded = new Map<string, string>();

  const endpointToken = (endpoint: string): string => {
    const known = encoded.get(endpoint);
    if (known !== undefined) return known;
    const token = encodeEndpoint(endpoint);
    if (encoded.size < cachedEndpoints) encoded.set(endpoint, token);
    return token;
  };

  return {
    group,
    stream: `HYDROGEN_${group}`,
    deadLetterStream: `HYDROGEN_${group}_DLQ`,
    leaseBucket: `hydrogen_${group}_instances`,
    allClientMessages: `${clientPrefix}>`,
    allDeadLetters: `${prefix}.dlq.*`,
    broadcast: `${prefix}.broadcast`,
    clientMessage: (endpoint, connectionId) =>
      `${clientPrefix}${partitionOf(connectionId)}.${endpointToken(endpoint)}.${checkedId(connectionId)}`,
    instance: (instanceId) => `${prefix}.instance.${checkedId(instanceId)}`,
    deadLetters: (processor) => `${prefix}.dlq.${checkedName(processor)}`,
    filters: (endpoints, lane, lanes) => {
      const tokens = endpoints === undefined ? undefined : [...new Set(endpoints)].map(endpointToken);
      const shares = lanes === 1 ? ['*'] : partitionsOf(lane, lanes);
      if (tokens === undefined) return lanes === 1 ? [`${clientPrefix}>`] : shares.map((p) => `${clientPrefix}${p}.>`);
      return shares.flatMap((partition) => tokens.map((token) => `${clientPrefix}${partition}.${token}.*`));
    },
    parseClientMessage: (subject) => {
      if (!subject.startsWith(clientPrefix)) return undefined;
      const endpointAt = subject.indexOf('.', clientPrefix.length) + 1;
      const connectionAt = subject.indexOf('.', endpointAt) + 1;
      if (endpointAt === 0 || connectionAt === 0) return undefined;
      const partition = Number(subject.slice(clientPrefix.length, endpointAt - 1));
      const token = subject.slice(endpointAt, connectionAt - 1);
      const connectionId = subject.slice(connectionAt);
      if (!connectionPattern.test(connectionId) || partitionOf(connectionId) !== partition) return undefined;
      let endpoint = decoded.get(token);
      if (endpoint === undefined) {
        endpoint = decodeEndpoint(token);
        if (endpoint === undefined) return undefined;
        if (decoded.size < cachedEndpoints) decoded.set(token, endpoint);
      }
      return { partition, endpoint, connectionId };
    },
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

/** A path as one token: `[A-Za-z0-9_-]` stay, every other UTF-8 byte is `=XX`. @throws {HydrogenError} HYD_CONFIG_INVALID when empty */
export function encodeEndpoint(endpoint: string): string {
  if (endpoint === '') throw new HydrogenError('HYD_CONFIG_INVALID', 'an endpoint path is empty');
  let token = '';
  for (const byte of Buffer.from(endpoint, 'utf8')) {
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
