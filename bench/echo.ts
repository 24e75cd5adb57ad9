/**
 * Echo through a destination, closed loop, every part its own process. Paths do the same work in turns: `floor` (one
 * process, no bus) and `durable` (gateway, JetStream on files, message processor), whose ratio is the price of
 * durability. With `--against` the durable path of another checkout takes its turn too, with `--ordered` one whose
 * processor has `ordering: PerConnection`.
 *
 *   node bench/echo.ts [--connections 100] [--seconds 10] [--rounds 3] [--size 32] [--against CHECKOUT] [--ordered]
 *       [--partitions 16]
 */

import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { freePortBase } from '../test/kit/ports.ts';
import { type Load, type Measurement, measure } from './clients.ts';
import { startDurable } from './paths/durable.ts';
import { startFloor } from './paths/floor.ts';
import type { Path } from './paths/path.ts';
import { type BenchProcess, startBenchProcess } from './processes.ts';
import { median, printMachine, verdict } from './report.ts';

/** For 100 connections and 32 bytes. */
const goals = { ratio: 0.45, gatewayMicroseconds: 45, mprocMicroseconds: 60 } as const;

interface Options {
  readonly load: Load;
  readonly rounds: number;
  /** Folder of another checkout. */
  readonly against: string | undefined;
  /** Lanes of the ordered path; undefined: it takes no turn. */
  readonly partitions: number | undefined;
}

/** What one path did in each round. */
interface PathRounds {
  readonly path: Path;
  readonly rounds: Measurement[];
}

const options = readOptions();
printHeader(options);
await run(options);

async function run({ load, rounds, against, partitions }: Options): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const interrupted = (): void => {
    stack.disposeAsync().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const { destination, url: destinationUrl } = await startDestinationProcess(stack);
  const floor: PathRounds = { path: stack.use(await startFloor(destinationUrl)), rounds: [] };
  const durable = async (name: string, checkout: string, processor = {}): Promise<PathRounds> => ({
    path: stack.use(await startDurable({ name, checkout, destinationUrl, processor })),
    rounds: [],
  });
  const here = join(import.meta.dirname, '..');
  const own = await durable('durable', here);
  const other = against === undefined ? undefined : await durable('against', against);
  const delivery = { ordering: 'PerConnection', partitions };
  const ordered = partitions === undefined ? undefined : await durable('ordered', here, { delivery });

  for (let round = 1; round <= rounds; round += 1) {
    // Whoever is measured first has the cooler machine: the checkouts take turns in that, too.
    const others = [own, other, ordered].filter((one) => one !== undefined);
    if (round % 2 === 0) others.reverse();
    for (const { path, rounds: measured } of [floor, ...others]) {
      measured.push(await measure(path.url, load, [...path.processes, destination]));
      printRound(round, path.name, measured.at(-1));
    }
    console.log();
  }
  printMedians(floor, own, other);
  if (ordered !== undefined) printComparison('ordered / unordered', ordered, own);
}

async function startDestinationProcess(
  stack: AsyncDisposableStack,
): Promise<{ readonly destination: BenchProcess; readonly url: string }> {
  const port = await freePortBase();
  const args = [join(import.meta.dirname, 'destination-process.ts'), `${port}`];
  const destination = stack.use(startBenchProcess('destination', process.execPath, args));
  const url = `http://127.0.0.1:${port}/`;
  await destination.answers(url);
  return { destination, url };
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      connections: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '3' },
      size: { type: 'string', default: '32' },
      against: { type: 'string' },
      ordered: { type: 'boolean', default: false },
      partitions: { type: 'string', default: '16' },
    },
  });
  const seconds = readInteger('seconds', values.seconds, 1, 120);
  const load = {
    connections: readInteger('connections', values.connections, 1, 10_000),
    messageBytes: readInteger('size', values.size, 16, 131_072),
    warmUpSeconds: Math.min(4, seconds),
    seconds,
  };
  const against = values.against === undefined ? undefined : resolve(values.against);
  const lanes = readInteger('partitions', values.partitions, 1, 256);
  const partitions = values.ordered ? lanes : undefined;
  return { load, rounds: readInteger('rounds', values.rounds, 1, 20), against, partitions };
}

function readInteger(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`--${option} must be a whole number from ${min} to ${max}`);
  process.exit(2);
}

function printHeader({ load, rounds, against }: Options): void {
  console.log(
    `echo through a destination: ${load.connections} connections, ${load.messageBytes} bytes, ` +
      `${rounds} rounds of ${load.seconds} s for each path after ${load.warmUpSeconds} s of warm-up`,
  );
  if (against !== undefined) console.log(`against: ${against}`);
  printMachine('CPU times, not rates');
}

function printRound(round: number, name: string, measurement: Measurement | undefined): void {
  if (measurement === undefined) return;
  const { rate, p50Ms, p99Ms, cpuMicroseconds, silentClients } = measurement;
  const cpu = Object.entries(cpuMicroseconds).map(([part, us]) => `${part} ${us.toFixed(1)}`);
  console.log(
    `${round}  ${name.padEnd(8)} ${rate.toFixed(0).padStart(6)}/s  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ` +
      `CPU us/message: ${cpu.join(', ')}, in total ${cpuInAll(measurement).toFixed(1)}`,
  );
  if (silentClients > 0) console.log(`   WARNING: ${silentClients} clients got no answer`);
}

function printMedians(floor: PathRounds, own: PathRounds, other: PathRounds | undefined): void {
  console.log('medians');
  for (const { path, rounds } of other === undefined ? [floor, own] : [floor, other, own]) {
    console.log(`  ${path.name.padEnd(8)} ${median(rounds.map(({ rate }) => rate)).toFixed(0)}/s`);
  }
  const ratio = ratioOf(own, floor, ({ rate }) => rate);
  console.log(`  durable / floor: ${ratio.toFixed(3)}  ${verdict(ratio >= goals.ratio, `>= ${goals.ratio}`)}`);
  console.log(`  the same by CPU: ${ratioOf(floor, own, cpuInAll).toFixed(3)}`);
  for (const [part, goal] of [
    ['gateway', goals.gatewayMicroseconds],
    ['mproc', goals.mprocMicroseconds],
  ] as const) {
    const us = median(own.rounds.map(cpuOf(part)));
    console.log(`  ${part.padEnd(8)} ${us.toFixed(1)} us  ${verdict(us <= goal, `<= ${goal} us`)}`);
  }
  if (other !== undefined) printComparison('this checkout / the other', own, other);
}

/** One path as a multiple of another: medians of the ratios of each round. */
function printComparison(title: string, own: PathRounds, other: PathRounds): void {
  console.log(title);
  const figures: Record<string, (measurement: Measurement) => number> = {
    rate: ({ rate }) => rate,
    p50: ({ p50Ms }) => p50Ms,
    p99: ({ p99Ms }) => p99Ms,
    'CPU in total': cpuInAll,
    'CPU gateway': cpuOf('gateway'),
    'CPU mproc': cpuOf('mproc'),
    'CPU nats': cpuOf('nats-server'),
  };
  for (const [name, read] of Object.entries(figures)) {
    console.log(`  ${name.padEnd(12)} x ${ratioOf(own, other, read).toFixed(3)}`);
  }
  const residents = own.path.processes.map((process, index) => {
    const [now, before] = [process, other.path.processes[index] ?? process].map((one) => one.memoryBytes().resident);
    return `${process.name} x ${((now ?? Number.NaN) / (before ?? Number.NaN)).toFixed(3)}`;
  });
  console.log(`  RSS at the end: ${residents.join(', ')}`);
}

function ratioOf(a: PathRounds, b: PathRounds, read: (measurement: Measurement) => number): number {
  return median(
    a.rounds.map((measurement, index) => {
      const beside = b.rounds[index];
      return beside === undefined ? Number.NaN : read(measurement) / read(beside);
    }),
  );
}

function cpuOf(part: string): (measurement: Measurement) => number {
  return ({ cpuMicroseconds }) => cpuMicroseconds[part] ?? Number.NaN;
}

function cpuInAll({ cpuMicroseconds }: Measurement): number {
  return Object.values(cpuMicroseconds).reduce((sum, us) => sum + us, 0);
}
