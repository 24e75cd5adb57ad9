/** A NATS server as its administrator sees it, and groups on it. */

import { connect, type JetStreamManager } from 'nats';

import type { Any, FakeApi } from '../kit/api.ts';
import { condition } from '../kit/operator.ts';

/** Name of the stream of client messages of group `chat` in namespace `shop`. */
export const streamName = 'HYDROGEN_shop_chat';
/** Names of all of its streams. */
export const streamNames: readonly string[] = [
  streamName,
  `${streamName}_DLQ`,
  `${streamName}_WAIT`,
  'KV_hydrogen_shop_chat_instances',
];

/** The condition Ready of an object that is called `chat`. */
export const ready = (api: FakeApi, plural: string): Any => condition(api.get(plural, 'chat'), 'Ready');

/** Does something with JetStream over a separate connection. */
export async function administer<T>(url: string, work: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: url });
  try {
    return await work(await connection.jetstreamManager());
  } finally {
    await connection.close();
  }
}

/** Names of the streams, and of the consumers of the group's stream. */
export function observe(url: string): Promise<{ streams: string[]; consumers: string[] }> {
  return administer(url, async (manager) => {
    const streams = (await manager.streams.list().next()).map(({ config }) => config.name).sort();
    const consumers = streams.includes(streamName) ? await manager.consumers.list(streamName).next() : [];
    return { streams, consumers: consumers.map(({ name }) => name).sort() };
  });
}

/** Creates the stream of client messages differently from the operator: it stores messages in memory. */
export function addMemoryStream(url: string): Promise<unknown> {
  const config = { name: streamName, subjects: ['hydrogen.shop_chat.c2s.>'], storage: 'memory' as never };
  return administer(url, (manager) => manager.streams.add(config));
}

/** Configuration of a server whose clients may not publish to these subjects; without permission there is no answer. */
export function withoutRight(...subjects: readonly string[]): string {
  const permissions = `{ publish: { deny: ${JSON.stringify(subjects)} } }`;
  return `authorization { users: [{ user: a, password: a, permissions: ${permissions} }] }\nno_auth_user: a`;
}
