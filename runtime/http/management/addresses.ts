/**
 * Requests about users, channels and lists of connections: `/users/...`, `/channels/...` and `/connections`. They concern
 * any number of connections on any gateways, so they answer with counts, and with how many gateways did not answer. Without
 * a token they are answered on loopback alone: who knows no connection id could reach everybody.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HydrogenError } from '../../errors.ts';
import { nameProblem } from '../../names.ts';
import type { AddressedConnections, ConnectionsApi, Counts } from './api.ts';
import { closeCodeOf, ensureDone, idOf, reasonOf } from './connections.ts';
import { frameOf } from './message.ts';

/** Connections on one page of a list, unless the caller wants fewer or more. */
const defaultLimit = 100;
const maxLimit = 1_000;
const kinds = ['user', 'channel'] as const;
const read = { config: { scope: 'Read', isGuarded: true } } as const;

export function addAddressRoutes(app: FastifyInstance, api: ConnectionsApi): void {
  for (const kind of kinds) {
    // The second form is for names that no path carries.
    for (const path of [`/${kind}s/:name`, `/${kind}s`]) addMessageRoutes(app, api, kind, path);
    app.get(`/${kind}s/:name`, read, (request, reply) =>
      list(api, request, reply, { [kind]: nameOf(request, kind, 'limit', 'cursor') }),
    );
  }
  addMembershipRoutes(app, api);
  app.get('/connections', read, (request, reply) => {
    const { endpoint, user, channel } = queryOf(request, 'endpoint', 'user', 'channel', 'limit', 'cursor');
    if (endpoint?.startsWith('/') === false) throw new HydrogenError('HYD_ENDPOINTS_INVALID');
    if (user !== undefined) checkName('user', user);
    if (channel !== undefined) checkName('channel', channel);
    return list(api, request, reply, { endpoint, user, channel });
  });
}

function addMessageRoutes(app: FastifyInstance, api: ConnectionsApi, kind: 'user' | 'channel', path: string): void {
  app.post(`${path}/_send`, { config: { scope: 'Send', isGuarded: true } }, async (request, reply) => {
    const name = nameOf(request, kind, 'except', 'wait');
    const { data, isBinary } = frameOf(request);
    const { except, wait } = request.query as Record<string, string | undefined>;
    if (except !== undefined && !api.isConnectionId(except)) throw new HydrogenError('HYD_CONNECTION_ID_INVALID');
    if (wait !== undefined && wait !== 'true' && wait !== 'false') {
      throw new HydrogenError('HYD_BAD_REQUEST', 'wait must be true or false');
    }
    const frame = { data, isBinary, except, key: keyOf(request, api) };
    const counts = await api.sendTo({ kind, name }, frame, wait !== 'false');
    return counts === undefined ? reply.code(202).send() : reply.send(counts);
  });
  app.post(
    `${path}/_disconnect`,
    { config: { scope: 'Disconnect', isGuarded: true, action: 'disconnect' } },
    async (request, reply) => {
      const name = nameOf(request, kind, 'code');
      const closeCode = closeCodeOf(request);
      return reply.send(await api.disconnectAll({ kind, name }, closeCode, reasonOf(request, closeCode)));
    },
  );
}

function addMembershipRoutes(app: FastifyInstance, api: ConnectionsApi): void {
  for (const [method, kind] of [
    ['PUT', 'join'],
    ['DELETE', 'leave'],
  ] as const) {
    const config = { scope: 'Membership', isGuarded: true, action: kind } as const;
    app.route({
      method,
      url: '/channels/:name/connections/:id',
      config,
      handler: async (request, reply) => {
        const { status } = await api.changeMembership(kind, idOf(request, api), nameOf(request, 'channel'));
        if (status === 'full') throw new HydrogenError('HYD_TOO_MANY_CHANNELS');
        ensureDone(status);
        return reply.code(204).send();
      },
    });
    app.route({
      method,
      url: '/channels/:name/users/:user',
      config,
      handler: async (request, reply): Promise<Counts> => {
        const { user } = request.params as { user: string };
        const channel = nameOf(request, 'channel');
        return reply.send(await api.changeMemberships(kind, checkName('user', user), channel));
      },
    });
  }
}

async function list(
  api: ConnectionsApi,
  request: FastifyRequest,
  reply: FastifyReply,
  wanted: AddressedConnections,
): Promise<unknown> {
  const { limit = `${defaultLimit}`, cursor } = request.query as Record<string, string | undefined>;
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > maxLimit) {
    throw new HydrogenError('HYD_BAD_REQUEST', `limit must be 1 to ${maxLimit}`);
  }
  if (cursor !== undefined && !api.isConnectionId(cursor)) {
    throw new HydrogenError('HYD_BAD_REQUEST', 'cursor must be one that a page before had');
  }
  return reply.send(await api.list(wanted, Number(limit), cursor));
}

/** The user or channel of a request: in its path, or in its query. @param others parameters of the query that it may have */
function nameOf(request: FastifyRequest, kind: 'user' | 'channel', ...others: string[]): string {
  const { name } = request.params as { name?: string };
  if (name !== undefined) {
    queryOf(request, ...others);
    return checkName(kind, name);
  }
  const value = queryOf(request, kind, ...others)[kind];
  if (value === undefined) throw new HydrogenError('HYD_BAD_REQUEST', `the query has no ${kind}`);
  // The parser replaces what is not UTF-8, which would make names equal that are not.
  if (value.includes('\ufffd') && !/%EF%BF%BD/i.test(request.url))
    throw new HydrogenError('HYD_ADDRESS_INVALID', `${kind} is not UTF-8`);
  return checkName(kind, value);
}

/** The idempotency key of a request that may come again, if it has one. */
function keyOf(request: FastifyRequest, api: ConnectionsApi): string | undefined {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && api.isIdempotencyKey(key)) return key;
  throw new HydrogenError('HYD_BAD_REQUEST', 'idempotency-key must be 1 to 128 visible characters of ASCII');
}

function queryOf(request: FastifyRequest, ...known: string[]): Readonly<Record<string, string | undefined>> {
  const query = request.query as Record<string, string | string[] | undefined>;
  for (const [name, value] of Object.entries(query)) {
    if (!known.includes(name)) throw new HydrogenError('HYD_BAD_REQUEST', `unknown query parameter ${name}`);
    if (typeof value !== 'string') throw new HydrogenError('HYD_BAD_REQUEST', `${name} is there twice`);
  }
  return query as Record<string, string | undefined>;
}

function checkName(kind: 'user' | 'channel', name: string): string {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new HydrogenError('HYD_ADDRESS_INVALID', `${kind} ${problem}`);
  return name;
}
