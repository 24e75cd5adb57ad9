/** Deliveries and dependencies for routing tests: a prepared destination is simply what it was prepared from. */

import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import type { EngineAnswer, RouterDeps, RouteSpec } from '../../../runtime/route/route.ts';

export function deliveryOf(payload: string | Uint8Array): Delivery {
  return {
    id: 'message-1',
    connectionId: 'connection-1',
    endpoint: '/chat',
    callbackUrl: '',
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    attempt: 1,
    isReplay: false,
    storedAtMs: 0,
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

/** @param answer what the rules engine says */
export function routerDeps(answer?: EngineAnswer): RouterDeps<RouteSpec> {
  return {
    prepare: (spec) => spec,
    ask: async () => {
      if (answer === undefined) throw new Error('no rules engine is expected to be asked');
      return answer;
    },
  };
}
