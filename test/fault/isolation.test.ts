/**
 * Ways to stall others, on real processes, with default settings except for fewer places, so that they are soon taken.
 * Whatever one client or destination does, the messages of well-behaved clients arrive soon. `bench/isolation.ts` measures
 * how soon.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGatewayProcess, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const wellBehaved = 20;
/** Of each of them, one every `everyMs`. */
const rounds = 10;
const everyMs = 250;
/** What a busy machine may need; each of these ways used to take far longer. */
const soonMs = 5_000;

interface Way {
  readonly title: string;
  readonly group?: Record<string, unknown>;
  /** Connections that stall others, messages of each, and their text. */
  readonly from: number;
  readonly each: number;
  readonly text: string;
}

const ways: readonly Way[] = [
  { title: 'a destination that answers 503', from: 30, each: 100, text: 'fails' },
  { title: 'a burst to a destination that takes 100 ms', from: 1, each: 2_000, text: 'slow' },
  { title: 'a destination that never answers', from: 200, each: 25, text: 'hangs' },
  { title: 'a flood of one client', from: 1, each: 100_000, text: 'x' },
  {
    title: 'messages that match no rule while the dead letters are full',
    group: { deadLetter: { maxBytes: '1Ki' } },
    from: 30,
    each: 100,
    text: 'unmatched',
  },
];

describe('well-behaved clients are not stalled by', { skip }, () => {
  for (const { title, group: spec = {}, from, each, text } of ways) {
    test(title, async () => {
      await using nats = await startNats();
      const arrivals = new Map<string, number>();
      await using destination = await startDestination(async (request) => {
        const message = String(request.json().message);
        if (message.startsWith('good')) arrivals.set(message, Date.now());
        if (message === 'fails') return { status: 503 };
        if (message === 'slow') await sleep(100);
        return message === 'hangs' ? 'handled' : undefined;
      });
      const group = { natsUrl: nats.url, spec };
      const to = { url: destination.url };
      const rules = ['good', 'fails', 'slow', 'hangs', 'x'].map((name) => ({
        name,
        pattern: `^${name}`,
        destination: to,
      }));
      const processor = { routing: { rules }, delivery: { maxInFlight: 64 } };
      await using _mproc = await startMprocProcess({ group, spec: processor });
      await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
      await using stack = new AsyncDisposableStack();
      const join = async (): Promise<Client> => stack.use(await connect(gateway.url('/chat')));
      const good = await Promise.all(Array.from({ length: wellBehaved }, join));
      const bad = await Promise.all(Array.from({ length: from }, join));
      const sentMs = new Map<string, number>();
      for (const client of bad) for (let count = 0; count < each; count++) client.send(text);
      for (let round = 0; round < rounds; round++) {
        for (const [index, client] of good.entries()) {
          const name = `good ${index} ${round}`;
          sentMs.set(name, Date.now());
          client.send(name);
        }
        await sleep(everyMs);
      }
      await eventually(() => arrivals.size === wellBehaved * rounds, { timeoutMs: 30_000 });
      const longestMs = Math.max(...Array.from(sentMs, ([name, atMs]) => (arrivals.get(name) ?? 0) - atMs));
      assert.ok(longestMs < soonMs, `the longest took ${longestMs} ms`);
    });
  }
});
