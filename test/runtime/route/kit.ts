/** Deliveries for routing tests, and an HTTP client that gives one result. */

import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import type { CallResult, HttpRequest } from '../../../runtime/http/client/call.ts';
import type { RouterDeps } from '../../../runtime/processor/router.ts';

export function deliveryOf(payload: string | Uint8Array): Delivery {
  return {
    id: 'message-1',
    connectionId: 'connection-1',
    endpoint: '/chat',
    callbackUrl: '',
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    attempt: 1,
    isShared: false,
    isReplay: false,
    storedAtMs: 0,
    room: undefined,
    dueAtMs: 0,
    cause: undefined,
    source: 'm1',
    isWithdrawn: false,
    shed: () => false,
    recall: async () => 'read',
    begin: () => true,
    rest: () => {},
    ack: () => {},
    nak: () => {},
    working: () => {},
    term: () => {},
  };
}

/** The payload of a text message, as gateways write it. */
export function textPayload(message: string): string {
  return JSON.stringify({ instance_id: 'i', context: { authorizer: {} }, message, message_encoding: 'text' });
}

/** @param result of every request; undefined: none is expected. @param requests collects them */
export function routerDeps(result?: CallResult, requests: HttpRequest[] = []): RouterDeps {
  return {
    http: {
      post: async (request) => {
        if (result === undefined) throw new Error('no request is expected');
        requests.push(request);
        return result;
      },
      get: () => Promise.reject(new Error('no request is expected')),
      close: async () => {},
    },
    resolveHeaders: (headers) => headers.flatMap(({ name, value = '' }) => [name, value]),
  };
}
