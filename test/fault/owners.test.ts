/**
 * Processors with `ordering: PerConnection` as processes, which are killed, frozen, stopped and joined by others while the
 * messages of a connection fail.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { busGroup } from '../../crds/contract.ts';
import { createNatsBus } from '../../runtime/bus/nats/nats.ts';
import type { Bus } from '../../runtime/bus/port/bus.ts';
import { message } from '../contract/bus/kit.ts';
import { startDestination, type TestDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { type ConfiguredProcess, startHydrogen, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats, type TestNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const connections = Array.from({ length: 100 }, (_, i) => `gw-${i}`);
const takeoverSeconds = 4;

/** A destination that knows what it got of each connection, and in which order. */
class Witness {
  /** By connection, the numbers of the messages in the order of their first requests. */
  readonly firsts = new Map<string, number[]>();
  /** By `<connection> <number>`, the attempts that were sent. */
  readonly attempts = new Map<string, number[]>();
  readonly #answered = new Set<string>();

  /** @param judge the status for a request */
  constructor(destination: TestDestination, judge: (connection: string, number: number) => number) {
    destination.handle((request) => {
      const [connection = '', number = ''] = String(request.json().message).split(' ');
      const name = `${connection} ${number}`;
      const attempts = this.attempts.get(name) ?? [];
      this.attempts.set(name, [...attempts, Number(request.headers['hydrogen-attempt'])]);
      const firsts = this.firsts.get(connection) ?? [];
      if (attempts.length === 0) this.firsts.set(connection, [...firsts, Number(number)]);
      const status = judge(connection, Number(number));
      if (status === 200) this.#answered.add(name);
      return { status };
    });
  }

  has(connection: string, number: number): boolean {
    return this.#answered.has(`${connection} ${number}`);
  }

  hasAll(names: readonly string[], upTo: number): boolean {
    return names.every((name) => Array.from({ length: upTo }, (_, i) => i).every((number) => this.has(name, number)));
  }

  /** @throws when a message arrived first after a later one of its connection */
  checkOrder(): void {
    for (const [connection, numbers] of this.firsts) {
      const sorted = [...numbers].sort((a, b) => a - b);
      assert.deepEqual(numbers, sorted, connection);
    }
  }
}

/** Everything that one of these tests needs. */
async function stage(judge: (connection: string, number: number) => number, delivery: Record<string, unknown> = {}) {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const destination = stack.use(await startDestination());
  const witness = new Witness(destination, judge);
  const bus = await startPublisher(nats);
  stack.defer(() => bus.stop());
  const to = { url: destination.url, timeoutSeconds: 5 };
  const rules = [
    { name: 'bad', pattern: '^bad-', destination: to },
    { name: 'all', pattern: '.*', destination: to },
  ];
  const spec = {
    routing: { rules },
    delivery: { ordering: 'PerConnection', takeoverSeconds, backoffSeconds: [1], maxAttempts: 100, ...delivery },
  };
  const parts = stack.move();
  const processor = async (): Promise<ConfiguredProcess> =>
    parts.use(await startMprocProcess({ group: { natsUrl: nats.url }, spec }));
  return { nats, witness, bus, processor, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

type Stage = Awaited<ReturnType<typeof stage>>;

async function startPublisher(nats: TestNats): Promise<Bus> {
  const bus = createNatsBus({
    group: busGroup('default', 'e2e'),
    servers: [nats.url],
    clientName: 'test',
    stream: { storage: 'File', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 1_000_000_000 },
    deadLetter: { maxAgeMs: 3_600_000, maxBytes: 1_000_000 },
    leaseMs: 30_000,
  });
  await bus.start();
  return bus;
}

/** @param more text that follows the number. @returns how many of the messages were stored in entries */
async function publish(bus: Bus, names: readonly string[], from: number, to: number, more = ''): Promise<number> {
  let inEntries = 0;
  for (let number = from; number < to; number++) {
    const positions = await Promise.all(
      names.map((connectionId) => {
        const body = { message: `${connectionId} ${number} ${more}`, message_encoding: 'text' };
        const payload = Buffer.from(JSON.stringify(body));
        return bus.messages.publish(message({ connectionId, payload }));
      }),
    );
    inEntries += positions.filter((position) => position > 0).length;
  }
  return inEntries;
}

/** Publishes messages of a connection of its own until one is stored in an entry. */
async function untilEntries(bus: Bus): Promise<void> {
  let count = 0;
  await eventually(async () => (await publish(bus, ['gw-probe'], count, ++count)) > 0);
}

/**
 * Publishes `upTo` messages of every connection, or until it is stopped or disposed of; never more than a few thousand ahead
 * of what the destination has seen.
 */
function publishing({ bus, witness }: Stage, names: readonly string[], upTo = Number.POSITIVE_INFINITY) {
  let published = 0;
  let inEntries = 0;
  let isOver = false;
  const done = (async () => {
    while (!isOver && published < upTo) {
      inEntries += await publish(bus, names, published, published + 1);
      published += 1;
      while (!isOver && published * names.length - witness.attempts.size > 5_000) await sleep(10);
    }
  })();
  // Whoever stops it learns of a failure. A test that fails for another reason first has to report that one.
  done.catch(() => {});
  return {
    done,
    /** Messages that were stored in entries so far. */
    get inEntries(): number {
      return inEntries;
    },
    /** @returns how many messages of each connection were stored */
    async stop(): Promise<number> {
      isOver = true;
      await done;
      return published;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      isOver = true;
      await done.catch(() => {});
    },
  };
}

/** Lanes that a processor owns, from its metrics. */
function lanesOf(processor: ConfiguredProcess): Promise<number> {
  return metricOf(processor, 'hydrogen_processor_lanes');
}

/** @param series its name, with labels if it has any. @returns 0 when it is absent */
async function metricOf({ probesUrl }: ConfiguredProcess, series: string): Promise<number> {
  const page = await (await fetch(`${probesUrl}/metrics`)).text();
  const line = page.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

async function deadLetters({ file }: ConfiguredProcess): Promise<number> {
  await using list = startHydrogen(['dlq', 'list', '--config', file, '--json', '--limit', '1000']);
  assert.equal(await list.exited, 0, list.output());
  return list.lines().length;
}

describe('owners of lanes', { skip }, () => {
  test('a message that keeps failing holds back its own connection alone, through SIGKILL of its owner', async () => {
    let isFailing = true;
    await using kit = await stage((connection, number) =>
      isFailing && connection === 'gw-0' && number === 1 ? 503 : 200,
    );
    const { witness, bus } = kit;
    const [bad = '', ...good] = connections;
    const [first, second] = [await kit.processor(), await kit.processor()];
    await eventually(async () => (await lanesOf(first)) === 8 && (await lanesOf(second)) === 8);
    await untilEntries(bus);
    assert.equal(await publish(bus, connections, 0, 5), 500);
    await eventually(() => witness.hasAll(good, 5) && (witness.attempts.get(`${bad} 1`)?.length ?? 0) > 1);
    for (const dying of [first, second]) {
      const living = dying === first ? second : await kit.processor();
      dying.kill('SIGKILL');
      await dying.exited;
      await eventually(async () => (await lanesOf(living)) > 0);
    }
    await publish(bus, connections, 5, 10);
    await eventually(() => witness.hasAll(good, 10), { timeoutMs: 20_000 });
    assert.equal(witness.has(bad, 1) || witness.attempts.has(`${bad} 2`), false);
    isFailing = false;
    await eventually(() => witness.hasAll(connections, 10), { timeoutMs: 20_000 });
    witness.checkOrder();
  });

  for (const [what, flood] of [
    ['one connection, 75 MiB', { names: ['bad-0'], each: 300, bytes: 256_000 }],
    [
      'ten connections, 10,000 messages',
      { names: Array.from({ length: 10 }, (_, i) => `bad-${i}`), each: 1_000, bytes: 0 },
    ],
  ] as const) {
    test(`what waits behind messages that fail holds back no other connection: ${what}`, async () => {
      let isFailing = true;
      await using kit = await stage((connection) => (isFailing && connection.startsWith('bad') ? 503 : 200));
      const { witness, bus } = kit;
      const owner = await kit.processor();
      await eventually(async () => (await lanesOf(owner)) === 16);
      await untilEntries(bus);
      await publish(bus, flood.names, 0, flood.each, 'x'.repeat(flood.bytes));
      await publish(bus, connections, 0, 5);
      await eventually(() => witness.hasAll(connections, 5), { timeoutMs: 20_000 });
      const waiting = flood.names.length * flood.each;
      await eventually(async () => (await metricOf(owner, 'hydrogen_processor_held{rule="bad"}')) === waiting);
      isFailing = false;
      await eventually(() => witness.hasAll(flood.names, flood.each), { timeoutMs: 120_000 });
      witness.checkOrder();
      assert.equal(await deadLetters(owner), 0);
    });
  }

  test('a frozen processor delays its own lanes alone, for the time of its lease, and does no harm when it wakes', async () => {
    await using kit = await stage(() => 200);
    const { witness, bus } = kit;
    const [frozen, other] = [await kit.processor(), await kit.processor()];
    await eventually(async () => (await lanesOf(frozen)) === 8 && (await lanesOf(other)) === 8);
    await untilEntries(bus);
    assert.equal(await publish(bus, connections, 0, 3), 300);
    await eventually(() => witness.hasAll(connections, 3));
    process.kill(frozen.pid, 'SIGSTOP');
    const frozenAtMs = performance.now();
    await publish(bus, connections, 3, 10);
    await eventually(() => connections.filter((one) => witness.hasAll([one], 10)).length > 25, { timeoutMs: 1_500 });
    await eventually(() => witness.hasAll(connections, 10), { timeoutMs: 20_000 });
    const tookMs = performance.now() - frozenAtMs;
    process.kill(frozen.pid, 'SIGCONT');
    await publish(bus, connections, 10, 20);
    await eventually(() => witness.hasAll(connections, 20), { timeoutMs: 20_000 });
    await eventually(async () => (await lanesOf(frozen)) === 8 && (await lanesOf(other)) === 8, { timeoutMs: 20_000 });
    await publish(bus, connections, 20, 25);
    await eventually(() => witness.hasAll(connections, 25), { timeoutMs: 20_000 });
    witness.checkOrder();
    assert.ok(other.lines().some(({ msg }) => msg === 'lanes of a silent processor taken over'));
    assert.ok(tookMs < 15_000, `${tookMs} ms`);
  });
});

describe('lanes that change hands', { skip }, () => {
  test('a message on which processors die is the only one of its entry to become a dead letter', async () => {
    let victim: ConfiguredProcess | undefined;
    await using kit = await stage(
      (connection, number) => {
        if (connection === 'gw-0' && number === 3) victim?.kill('SIGKILL');
        return 200;
      },
      { maxAttempts: 1, takeoverSeconds: 3 },
    );
    const { witness, bus } = kit;
    victim = await kit.processor();
    await eventually(async () => (await lanesOf(victim ?? assert.fail())) === 16);
    await untilEntries(bus);
    const payloads = Array.from({ length: 6 }, (_, i) =>
      Buffer.from(JSON.stringify({ message: `gw-0 ${i}`, message_encoding: 'text' })),
    );
    const sent = payloads.map((payload) => bus.messages.publish(message({ connectionId: 'gw-0', payload })));
    assert.equal(new Set(await Promise.all(sent)).size, 1, 'they are one entry');
    const has = (number: number): boolean => witness.has('gw-0', number);
    const isOver = (): boolean => [0, 1, 2, 4, 5].every(has);
    for (let life = 0; life < 12 && !isOver(); life++) {
      let isDead = false;
      void victim.exited.then(() => {
        isDead = true;
      });
      await eventually(() => isOver() || isDead, { timeoutMs: 30_000 });
      if (isDead) victim = await kit.processor();
    }
    assert.ok(isOver());
    await eventually(async () => (await deadLetters(victim ?? assert.fail())) === 1);
    witness.checkOrder();
  });

  test('rolling restarts burn no attempts: no dead letters after a short failure with few attempts', async () => {
    let status = 200;
    await using kit = await stage(() => status, { maxAttempts: 3 });
    const { witness } = kit;
    let replicas = [await kit.processor(), await kit.processor()];
    const all = [...replicas];
    await untilEntries(kit.bus);
    await using publisher = publishing(kit, connections);
    for (let round = 0; round < 2; round++) {
      for (const old of replicas) {
        const next = await kit.processor();
        old.kill('SIGTERM');
        assert.equal(await old.exited, 0, old.output());
        replicas = [...replicas.filter((one) => one !== old), next];
        all.push(next);
      }
    }
    status = 503;
    // The circuit may try others first, and waits longer each time.
    await eventually(() => Array.from(witness.attempts.values()).some((attempts) => attempts.length > 1), {
      timeoutMs: 40_000,
    });
    status = 200;
    const published = await publisher.stop();
    await eventually(() => witness.hasAll(connections, published), { timeoutMs: 60_000 });
    witness.checkOrder();
    assert.ok(publisher.inEntries > (published * connections.length) / 2, `${publisher.inEntries} messages in entries`);
    // A machine that is too slow to renew leases has lost some, which repeats messages.
    const isSlow = all.some((one) => one.output().includes('lease was not renewed'));
    for (const [name, attempts] of isSlow ? [] : witness.attempts) {
      const exact = Array.from(attempts, (_, i) => i + 1);
      assert.deepEqual(attempts, exact, name);
    }
    assert.equal(await deadLetters(replicas[0] ?? assert.fail()), 0);
  });

  test('a processor that joins takes its share of the lanes, and nothing is lost, repeated or overtaken', async () => {
    await using kit = await stage(() => 200);
    const { witness } = kit;
    const first = await kit.processor();
    await eventually(async () => (await lanesOf(first)) === 16);
    await untilEntries(kit.bus);
    await using publisher = publishing(kit, connections, 100);
    await eventually(() => witness.attempts.size > 1_000);
    const second = await kit.processor();
    await publisher.done;
    await eventually(async () => (await lanesOf(first)) === 8 && (await lanesOf(second)) === 8);
    await eventually(() => witness.hasAll(connections, 100), { timeoutMs: 60_000 });
    witness.checkOrder();
    const isSlow = [first, second].some((one) => one.output().includes('lease was not renewed'));
    for (const [name, attempts] of isSlow ? [] : witness.attempts) assert.deepEqual(attempts, [1], name);
  });

  test('NATS is killed and comes back: nothing is lost or overtaken', async () => {
    await using kit = await stage(() => 200);
    const { witness, nats } = kit;
    await Promise.all([kit.processor(), kit.processor()]);
    await untilEntries(kit.bus);
    await using publisher = publishing(kit, connections, 60);
    for (let round = 1; round <= 3; round++) {
      await eventually(() => witness.attempts.size > round * 1_000, { timeoutMs: 30_000 });
      await nats.kill('SIGKILL');
      await nats.start();
    }
    await publisher.done;
    assert.ok(publisher.inEntries > 1_000, `${publisher.inEntries} messages in entries`);
    await eventually(() => witness.hasAll(connections, 60), { timeoutMs: 60_000 });
    witness.checkOrder();
  });
});
