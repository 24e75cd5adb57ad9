import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { RulesEngine } from '../../../../crds/index.ts';
import { createHttpClient, type HttpClient } from '../../../../runtime/http/client/client.ts';
import { deliver, prepareDestination } from '../../../../runtime/http/services/destination.ts';
import { askAuthorizer, callConnectHook, callDisconnectHook } from '../../../../runtime/http/services/hooks.ts';
import { createRulesEngine } from '../../../../runtime/http/services/rules-engine.ts';
import { Service, type ServiceSpec } from '../../../../runtime/http/services/service.ts';
import { startDestination } from '../../../kit/destination.ts';
import { deliveryOf } from '../../route/kit.ts';

const delivery = deliveryOf('{}');
const subject = { instance_id: 'a', group_id: 'b', connection_id: 'c', endpoint: '/chat', subprotocols: [] };
const rulesEngine: RulesEngine = {
  url: 'http://engine.test/',
  headers: [],
  timeoutSeconds: 5,
  allowedHosts: ['a.test'],
  reply: false,
  destinationTimeoutSeconds: 5,
};
const none: readonly string[] = [];

/** One call of each kind; resolves with true if it succeeded. */
const calls: Readonly<Record<string, (http: HttpClient, spec: ServiceSpec) => Promise<boolean>>> = {
  destination: async (http, spec) => {
    const destination = prepareDestination({ ...spec, reply: false });
    return (await deliver(http, destination, delivery)).kind === 'consumed';
  },
  'rules engine': async (http, spec) => {
    const engine = prepareDestination({ ...spec, reply: false });
    const { kind } = await createRulesEngine(rulesEngine, engine, http)(delivery);
    return kind === 'directions';
  },
  authorizer: async (http, spec) => {
    const call = { http, service: new Service(spec), id: 'call-1', callbackUrl: '' };
    return (await askAuthorizer(call, subject, 1_000)).context !== undefined;
  },
  'connect hook': async (http, spec) => {
    await callConnectHook({ http, service: new Service(spec), id: 'call-1', callbackUrl: '' }, subject, '{}');
    return true;
  },
  'disconnect hook': (http, spec) => {
    const call = { http, service: new Service(spec), id: 'call-1', callbackUrl: '' };
    return callDisconnectHook(call, 1, subject, '{}', () => {}, new AbortController().signal);
  },
};

for (const [kind, call] of Object.entries(calls)) {
  test(`loses no request to a service that closes idle connections: ${kind}`, async () => {
    const seen = new Set<Socket>();
    await using server = await startDestination((_request, response) => {
      const socket = response.socket as Socket; // it is set until the response ends
      if (!seen.has(socket)) {
        seen.add(socket);
        return { body: JSON.stringify({ endpoint: 'http://a.test/', context: {} }) };
      }
      socket.destroy();
      return 'handled';
    });
    const http = createHttpClient({ connectionsPerOrigin: 1 });
    for (let i = 0; i < 2; i++) assert.ok(await call(http, { url: server.url, headers: () => none, timeoutMs: 5_000 }));
    assert.equal(server.requests.length, 3);
    await http.close();
  });
}
