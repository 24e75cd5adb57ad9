/** `/connections/_broadcast`: a message for every connection of some endpoints. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HydrogenError } from '../../errors.ts';
import type { ConnectionsApi } from './api.ts';
import { frameOf } from './message.ts';

export function addBroadcastRoute(app: FastifyInstance, api: ConnectionsApi): void {
  app.post('/connections/_broadcast', { config: { scope: 'Send' } }, async (request, reply) => {
    const { data, isBinary } = frameOf(request);
    await api.broadcast(data, isBinary, endpointsOf(request));
    return reply.code(202).send();
  });
}

/** `endpoints[]=/a&endpoints[]=/b`; `endpoints=/a` is accepted too. Undefined means all. */
function endpointsOf(request: FastifyRequest): string[] | undefined {
  const query = request.query as Record<string, string | string[] | undefined>;
  const unknown = Object.keys(query).find((name) => name !== 'endpoints[]' && name !== 'endpoints');
  if (unknown !== undefined) throw new HydrogenError('HYD_BAD_REQUEST', `unknown query parameter ${unknown}`);
  const endpoints = [query['endpoints[]'] ?? [], query.endpoints ?? []].flat();
  if (endpoints.some((path) => !path.startsWith('/'))) throw new HydrogenError('HYD_ENDPOINTS_INVALID');
  return endpoints.length === 0 ? undefined : endpoints;
}
