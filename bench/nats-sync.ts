/**
 * What `sync_interval: always` costs: client messages published as a gateway does and stored by JetStream on files, with
 * one server and with three, with the interval of NATS and with a sync before each acknowledgement. All four take turns.
 *
 *   node bench/nats-sync.ts [--connections 64] [--seconds 5] [--rounds 4] [--size 256]
 */

import { createHistogram } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { createNatsBus } from '../runtime/bus/nats/nats.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import { eventually } from '../test/kit/eventually.ts';
import { startNats } from '../test/kit/nats.ts';
import { freePorts } from '../test/kit/ports.ts';
import { median, printMachine } from './report.ts';

type Sync = 'Interval' | 'Always';

interface Load {
  /** Each has one message in flight. */
  readonly connections: number;
  readonly seconds: number;
  readonly sizeBytes: number;
}

interface Figures {
  /** Stored messages per second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Contender {
  readonly replicas: 1 | 3;
  readonly sync: Sync;
  readonly bus: Bus;
  readonly rounds: Figures[];
}

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '4' },
    size: { type: 'string', default: '256' },
  },
});
const load: Load = {
  connections: Number(values.connections),
  seconds: Number(values.seconds),
  sizeBytes: Number(values.size),
};
const rounds = Number(values.rounds);
if (![load.connections, load.seconds, load.sizeBytes, rounds].every((value) => Number.isInteger(value) && value > 0)) {
  console.error('--connections, --seconds, --rounds and --size are whole numbers above 0');
  process.exit(2);
}

printMachine('ratios only');
await run();

async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const contenders: Contender[] = [];
  for (const replicas of [1, 3] as const) {
    for (const sync of ['Interval', 'Always'] as const) {
      contenders.push({ replicas, sync, bus: await startBus(stack, replicas, sync), rounds: [] });
    }
  }
  for (const { bus } of contenders) await measure(bus, { ...load, seconds: 1 }); // files and connections exist
  for (let round = 1; round <= rounds; round++) {
    // Whoever goes first has the quieter disk: they take turns in that.
    for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
      const figures = await measure(contender.bus, load);
      contender.rounds.push(figures);
      print(`${round}`, contender, figures);
    }
  }
  console.log('\nmedians');
  for (const contender of contenders) print('-', contender, medianOf(contender.rounds));
  console.log('\nAlways / Interval, median of the rounds (smallest to largest)');
  for (const replicas of [1, 3]) printRatios(replicas, contenders);
}

async function startBus(stack: AsyncDisposableStack, replicas: 1 | 3, sync: Sync): Promise<Bus> {
  const config = sync === 'Always' ? 'jetstream { sync_interval: always }' : 'jetstream {}';
  const ports = await freePorts(replicas);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
  const clusterArgs = (index: number): string[] => {
    const own = ['-n', `node-${index}`, '--cluster_name', 'bench', '--cluster', routes[index] ?? ''];
    return replicas === 1 ? [] : [...own, '--routes', routes.join(',')];
  };
  const starting = routes.map((_, index) => startNats({ config, args: clusterArgs(index) }));
  for (const result of await Promise.allSettled(starting)) if (result.status === 'fulfilled') stack.use(result.value);
  const servers = (await Promise.all(starting)).map(({ url }) => url);
  const bus = createNatsBus({
    group: 'bench_sync',
    servers,
    clientName: 'bench',
    stream: { storage: 'File', replicas, maxAgeMs: 3_600_000, maxBytes: 1024 ** 3 },
    deadLetter: { maxAgeMs: 3_600_000, maxBytes: 1024 ** 2 },
    leaseMs: 30_000,
  });
  stack.defer(() => bus.stop());
  await bus.start();
  // Without a processor the stream would discard what it acknowledges.
  const options = { processor: 'bench', endpoints: undefined, ackTimeoutMs: 60_000, maxInFlight: 1024 };
  const consumption = bus.messages.consume(
    { ...options, ordering: 'Unordered', partitions: 1 },
    (delivery) => delivery.ack(),
    () => {}, // a cluster without a leader yet; it tries again
  );
  await eventually(() => consumption.isReady && bus.messages.isConsumed('/bench'), { timeoutMs: 60_000 });
  return bus;
}

/** Each connection publishes its next message once the last one is stored. */
async function measure(bus: Bus, { connections, seconds, sizeBytes }: Load): Promise<Figures> {
  const latency = createHistogram();
  const payload = Buffer.alloc(sizeBytes, 'x');
  const startedAtMs = performance.now();
  const endsAtMs = startedAtMs + seconds * 1000;
  const publish = async (connection: number): Promise<void> => {
    const connectionId = `bench-${connection}`;
    for (let n = 0; performance.now() < endsAtMs; n++) {
      const sentAtMs = performance.now();
      const id = `${connectionId}-${startedAtMs.toString(36).replace('.', '-')}-${n}`;
      await bus.messages.publish({ id, connectionId, endpoint: '/bench', callbackUrl: '', payload });
      latency.record(Math.max(1, Math.round((performance.now() - sentAtMs) * 1e6)));
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, connection) => publish(connection)));
  return {
    rate: (latency.count / (performance.now() - startedAtMs)) * 1000,
    p50Ms: latency.percentile(50) / 1e6,
    p99Ms: latency.percentile(99) / 1e6,
  };
}

function medianOf(figures: readonly Figures[]): Figures {
  return {
    rate: median(figures.map(({ rate }) => rate)),
    p50Ms: median(figures.map(({ p50Ms }) => p50Ms)),
    p99Ms: median(figures.map(({ p99Ms }) => p99Ms)),
  };
}

function print(round: string, { replicas, sync }: Contender, { rate, p50Ms, p99Ms }: Figures): void {
  console.log(
    `${round}  replicas ${replicas}  ${sync.padEnd(8)} ${rate.toFixed(0).padStart(7)}/s  ` +
      `p50 ${p50Ms.toFixed(2).padStart(8)} ms  p99 ${p99Ms.toFixed(2).padStart(8)} ms`,
  );
}

function printRatios(replicas: number, contenders: readonly Contender[]): void {
  const roundsOf = (sync: Sync): readonly Figures[] =>
    contenders.find((contender) => contender.replicas === replicas && contender.sync === sync)?.rounds ?? [];
  const [interval, always] = [roundsOf('Interval'), roundsOf('Always')];
  const ratios = (of: (figures: Figures) => number): string => {
    const each = always.flatMap((figures, round) => {
      const other = interval[round];
      return other === undefined ? [] : [of(figures) / of(other)];
    });
    return `${median(each).toFixed(2)} (${Math.min(...each).toFixed(2)} to ${Math.max(...each).toFixed(2)})`;
  };
  console.log(
    `replicas ${replicas}  rate ${ratios(({ rate }) => rate)}  p50 ${ratios(({ p50Ms }) => p50Ms)}  ` +
      `p99 ${ratios(({ p99Ms }) => p99Ms)}`,
  );
}
