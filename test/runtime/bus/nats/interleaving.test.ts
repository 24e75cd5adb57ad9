/**
 * The protocol of docs/decisions/2026-11-26-consumer-transitions.md under a random scheduler: three actors with wishes of
 * their own change the consumers of one processor on a real server. Each request may wait, be lost, be executed after
 * the actor has given it up, or be the last one of an actor that dies; each list may be partial or old. Actors take lanes
 * over as well. A gateway publishes meanwhile, entries where it may, and each of its messages must arrive.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConsumerInfo, JsMsg, StreamConfig } from 'nats';
import { Announcer } from '../../../../runtime/bus/nats/announcements.ts';
import { isComplete, setsOf, slotOf } from '../../../../runtime/bus/nats/consumer-sets.ts';
import { readConsumers, type StreamConsumers } from '../../../../runtime/bus/nats/consumer-view.ts';
import { createCore, type NatsCore } from '../../../../runtime/bus/nats/core.ts';
import { type ConsumerTools, ensureConsumers } from '../../../../runtime/bus/nats/durables.ts';
import { type Claim, takeLanes } from '../../../../runtime/bus/nats/lanes/takes.ts';
import type { Requests } from '../../../../runtime/bus/nats/requests.ts';
import type { Bus } from '../../../../runtime/bus/port/bus.ts';
import type { ConsumerOptions } from '../../../../runtime/bus/port/messages.ts';
import { HydrogenError } from '../../../../runtime/errors.ts';
import { message } from '../../../contract/bus/kit.ts';
import { eventually } from '../../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../../kit/nats.ts';
import { type NatsGroupKit, natsGroup } from './kit.ts';

const skip = await natsOrSkip();
const rounds = Number(process.env.INTERLEAVING_ROUNDS ?? 60);
const seeds = (process.env.INTERLEAVING_SEEDS ?? '1,2,3').split(',').map(Number);

type Random = () => number;

/** Mulberry32. */
function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The requests of one attempt of an actor. */
function faulty(requests: Requests, random: Random): Requests {
  let isDead = false;
  const fail = (): never => {
    throw new HydrogenError('HYD_BUS_UNREACHABLE', 'a fault of the test');
  };
  return {
    ...requests,
    api: async <T>(subject: string, body?: unknown): Promise<T> => {
      await delay(random() * 6);
      isDead ||= random() < 0.01;
      if (isDead) fail();
      if (random() < 0.02) {
        void delay(random() * 60).then(() => requests.api(subject, body).catch(() => {}));
        fail();
      }
      const answer = await requests.api<T & { consumers?: ConsumerInfo[]; missing?: string[] }>(subject, body);
      if (random() < 0.02) fail();
      if (!subject.startsWith('CONSUMER.LIST') || random() > 0.2) return answer;
      const [consumers, missing]: [ConsumerInfo[], string[]] = [[], []];
      for (const info of answer.consumers ?? []) random() < 0.5 ? consumers.push(info) : missing.push(info.name);
      return { ...answer, consumers, missing };
    },
  };
}

function wish(random: Random): ConsumerOptions {
  // 32 lanes cover no entries.
  const partitions = [1, 2, 4, 32][Math.floor(random() * 4)] ?? 1;
  return {
    processor: 'chat',
    endpoints: undefined,
    ackTimeoutMs: 1000,
    maxInFlight: 64,
    ordering: partitions === 1 ? 'Unordered' : 'PerConnection',
    partitions,
  };
}

/** Takes some lanes of the current consumers, as a replica does whose owner was lost. */
async function takeSome(tools: ConsumerTools, random: Random): Promise<void> {
  const { consumers } = await readConsumers(tools.requests, tools.subjects.stream);
  const tops = setsOf('chat', consumers).findLast(isComplete)?.tops ?? [];
  const claims = tops.flatMap((top, lane): Claim[] =>
    top === undefined || random() < 0.5 ? [] : [{ lane, top, isLost: true, record: undefined }],
  );
  await takeLanes(tools, 'chat', randomUUID(), claims);
}

function ignoreFault(err: unknown): void {
  if (!(err instanceof Error)) throw err;
}

/** Consumes from whatever consumers there are, until `isOver` and nothing is left. */
async function consume(group: NatsGroupKit, seen: Set<string>, isOver: () => boolean): Promise<void> {
  const { connection, manager } = await group.client();
  const { stream } = group.subjects;
  const jetstream = connection.jetstream();
  for (;;) {
    const isLast = isOver();
    const infos = await manager.consumers.list(stream).next();
    const fetched = infos.map(async ({ name }) => {
      const found: JsMsg[] = [];
      try {
        const consumer = await jetstream.consumers.get(stream, name);
        for await (const msg of await consumer.fetch({ max_messages: 50, expires: 1000 })) {
          found.push(msg);
          // It gives some back, so that acknowledgements have gaps.
          if (msg.seq % 7 === 0 && msg.info.redeliveryCount === 1) msg.nak();
          else if (await msg.ackAck()) for (const one of namesIn(msg.string())) seen.add(one);
        }
      } catch {
        // The consumer was deleted meanwhile.
      }
      return found.length;
    });
    const counts = await Promise.all(fetched);
    if (isLast && counts.every((count) => count === 0)) return;
  }
}

describe('transitions of consumers', { skip }, async () => {
  if (skip !== false) return;
  const server = await startNats();
  after(() => server[Symbol.asyncDispose]());

  async function startCore(group: NatsGroupKit): Promise<NatsCore> {
    const core = createCore(group.options);
    core.link.start();
    await eventually(() => core.link.isUp);
    return core;
  }

  /** Of all seeds: the changes of one may leave no moment in which entries are covered. */
  let inEntries = 0;
  for (const seed of seeds) {
    test(`lose nothing when three actors make them at once and fail at random, seed ${seed}`, async () => {
      await using group = natsGroup(server);
      const { subjects } = group;
      const { manager } = await group.client();
      await manager.streams.add({
        name: subjects.stream,
        subjects: [subjects.allClientMessages],
        retention: 'interest' as StreamConfig['retention'],
      });
      const core = await startCore(group);
      await ensureConsumers(core, wish(randomOf(seed)));
      // Another processor that consumes nothing: what it holds must not hide what is missing.
      await ensureConsumers(core, { ...wish(() => 0), processor: 'slow' });
      const random = randomOf(seed);
      let state: 'publishing' | 'settling' | 'over' = 'publishing';
      const published = new Set<string>();
      const publish = async (bus: Bus, i: number): Promise<void> => {
        const payload = Buffer.from(`<m${i}>`);
        const position = await bus.messages.publish(message({ connectionId: `gw-${i % 97}`, payload }));
        if (position > 0) inEntries += 1;
        published.add(`m${i}`);
      };
      const gateway = await group.started();
      const publishing = (async () => {
        for (let i = 0; state === 'publishing'; i += 5)
          await Promise.all([0, 1, 2, 3, 4].map((more) => publish(gateway, i + more)));
      })();
      const seen = new Set<string>();
      const consuming = consume(withoutSlow(group), seen, () => state === 'over');
      let old: StreamConsumers | undefined;
      const actors = Array.from({ length: 3 }, async () => {
        for (let round = 0; round < rounds; round++) {
          const requests = faulty(core.requests, random);
          const tools: ConsumerTools = { ...core, requests, announcer: new Announcer(core.link, requests, subjects) };
          if (random() < 0.4) {
            await takeSome(tools, random).catch(ignoreFault);
            continue;
          }
          const present = random() < 0.2 ? old : undefined;
          const follow = random() < 0.2;
          try {
            await ensureConsumers(tools, wish(random), follow, present);
            old = await readConsumers(core.requests, subjects.stream);
          } catch (err) {
            ignoreFault(err);
          }
        }
      });
      await Promise.all(actors);
      state = 'settling';
      await publishing;
      await eventually(() =>
        ensureConsumers(
          core,
          wish(() => 0.6),
        ).then(() => true),
      );
      const names = (await group.consumerNames()).filter((name) => name !== 'slow' && !name.endsWith('_e'));
      assert.ok(new Set(names.map(slotOf)).size === 4, names.join(' '));
      for (const name of names) assert.match(name, /^chat(_g\d+)?_l\dof4(_t\d+)?$/);
      state = 'over';
      await consuming;
      await core.link.stop();
      const lost = [...published].filter((one) => !seen.has(one));
      assert.deepEqual(lost, [], `${lost.length} of ${published.size}`);
      assert.ok(published.size > 100);
    });
  }

  test('some of these messages were stored in entries', () => assert.ok(inEntries > 0));
});

/** The messages in a body: one, or those of an entry. */
function namesIn(body: string): string[] {
  return Array.from(body.matchAll(/<(m\d+)>/g), ([, name = '']) => name);
}

/** The same group whose client does not see the consumer of the slow processor. */
function withoutSlow(group: NatsGroupKit): NatsGroupKit {
  return {
    ...group,
    client: async () => {
      const { connection, manager } = await group.client();
      const { consumers } = manager;
      const list = (stream: string) => ({
        next: async () => (await consumers.list(stream).next()).filter(({ name }) => name !== 'slow'),
      });
      return { connection, manager: { consumers: { list } } as unknown as typeof manager };
    },
  };
}
