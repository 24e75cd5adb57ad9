/** Several gateways of one group, whose clients choose their user and channels, on either bus. */

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { createMemoryBroker } from '../../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../../runtime/bus/port/bus.ts';
import { type Client, connect } from '../../kit/client.ts';
import { startDestination } from '../../kit/destination.ts';
import { eventually } from '../../kit/eventually.ts';
import { startGateway, type TestGateway } from '../../kit/gateway.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';
import { natsGroup } from '../bus/nats/kit.ts';

export type MakeGroup = () => Promise<{ bus(): Bus } & AsyncDisposable>;

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export async function ask(
  gateway: TestGateway,
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(gateway.managementUrl + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

/** Gateways of one group, whose authorizer admits as the user and into the channels that the query names. */
export async function startGroup(makeGroup: MakeGroup, count = 2, spec: Record<string, unknown> = {}) {
  await using stack = new AsyncDisposableStack();
  const group = stack.use(await makeGroup());
  const authorizer = stack.use(
    await startDestination((request) => {
      const query = Object.fromEntries(request.json().query as [string, string][]);
      const channels = query.channels === undefined ? [] : String(query.channels).split(',');
      return { body: JSON.stringify({ user: query.user, channels }) };
    }),
  );
  const gateways: TestGateway[] = [];
  for (let i = 0; i < count; i++) {
    const http = { url: authorizer.url, timeoutSeconds: 5 };
    const options = {
      bus: group.bus(),
      isConsumed: false,
      spec: { mode: 'ServerToClient', authorizer: { http }, ...spec },
    };
    gateways.push(stack.use(await startGateway(options)));
  }
  await eventually(() => gateways.every(({ gateway }) => gateway.readiness.reason === undefined));
  const parts = stack.move();
  return {
    gateways,
    /** @param at which gateway */
    connect: async (at: number, query: string): Promise<Client> => {
      return parts.use(await connect((gateways[at] ?? assert.fail()).url(`/chat?${query}`)));
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Runs a suite on the memory bus, and on NATS where there is one. */
export async function onBothBuses(title: string, suite: (makeGroup: MakeGroup) => void): Promise<void> {
  describe(`${title} on the memory bus`, () => {
    suite(async () => {
      const broker = createMemoryBroker();
      return { bus: () => broker.connect(), async [Symbol.asyncDispose]() {} };
    });
  });
  const skip = await natsOrSkip();
  describe(`${title} on NATS`, { skip }, async () => {
    if (skip !== false) return;
    const server = await startNats();
    after(() => server[Symbol.asyncDispose]());
    suite(async () => natsGroup(server));
  });
}
