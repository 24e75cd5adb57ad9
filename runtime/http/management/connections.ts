/** Requests about one connection: `/connections/{id}`, `_send`, `_disconnect`. */

import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { closeCodes, isCloseReason, isOwnClose, isServiceCloseCode } from '../../close.ts';
import { type ErrorCode, HydrogenError } from '../../errors.ts';
import type { PushStatus } from '../../push-status.ts';
import type { ConnectionsApi } from './api.ts';
import { bodyOf, frameOf } from './message.ts';

const failures: Readonly<Record<Exclude<PushStatus, 'done' | 'accepted'>, ErrorCode>> = {
  gone: 'HYD_CONNECTION_GONE',
  full: 'HYD_SLOW_CLIENT',
  tooLarge: 'HYD_MESSAGE_TOO_LARGE',
  invalid: 'HYD_INTERNAL',
  timeout: 'HYD_OWNER_TIMEOUT',
  cutOff: 'HYD_OWNER_UNREACHABLE',
  down: 'HYD_BUS_UNREACHABLE',
};

export function addConnectionRoutes(app: FastifyInstance, api: ConnectionsApi): void {
  app.post('/connections/:id/_send', { config: { scope: 'Send' } }, async (request, reply) => {
    const id = idOf(request, api);
    const { data, isBinary } = frameOf(request);
    const { status } = await api.send(id, data, isBinary);
    ensureDone(status);
    return reply.code(status === 'accepted' ? 202 : 200).send();
  });
  const disconnect = { config: { scope: 'Disconnect', action: 'disconnect' } } as const;
  app.post('/connections/:id/_disconnect', disconnect, async (request, reply) => {
    const id = idOf(request, api);
    const closeCode = closeCodeOf(request);
    const { status } = await api.disconnect(id, closeCode, reasonOf(request, closeCode));
    ensureDone(status);
    return reply.code(204).send();
  });
  app.get('/connections/:id', { config: { scope: 'Read' } }, async (request, reply) => {
    const { status, data } = await api.describe(idOf(request, api));
    ensureDone(status);
    return reply.type('application/json').send(data);
  });
}

/** @throws {HydrogenError} HYD_CONNECTION_ID_INVALID */
export function idOf(request: FastifyRequest, api: ConnectionsApi): string {
  const { id } = request.params as { id: string };
  if (!api.isConnectionId(id)) throw new HydrogenError('HYD_CONNECTION_ID_INVALID');
  return id;
}

/** @throws {HydrogenError} HYD_CLOSE_REASON_INVALID */
export function reasonOf(request: FastifyRequest, closeCode: number): string {
  const body = bodyOf(request);
  const reason = body.toString('utf8');
  if (!isUtf8(body) || !isCloseReason(reason) || isOwnClose(closeCode, reason)) {
    throw new HydrogenError('HYD_CLOSE_REASON_INVALID');
  }
  return reason;
}

/** @throws {HydrogenError} HYD_CLOSE_CODE_INVALID */
export function closeCodeOf(request: FastifyRequest): number {
  const { code } = request.query as { code?: string | string[] };
  if (code === undefined) return closeCodes.policyViolation;
  if (typeof code !== 'string' || !/^\d{4}$/.test(code) || !isServiceCloseCode(Number(code))) {
    throw new HydrogenError('HYD_CLOSE_CODE_INVALID');
  }
  return Number(code);
}

/** @throws {HydrogenError} for the outcome of the push, unless it was done */
export function ensureDone(status: PushStatus): void {
  if (status !== 'done' && status !== 'accepted') throw new HydrogenError(failures[status]);
}
