/**
 * How much one client, destination or processor can delay everybody else: p99 of healthy clients beside each of seven
 * ways to stall them, as a ratio to p99 beside as many messages per second of well-behaved clients. Every part is its
 * own process, and settings are defaults where the way itself needs no other. See README.md.
 *
 *   node bench/isolation.ts [--seconds 8] [--only N]...
 */

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { freePortBase } from '../test/kit/ports.ts';
import { type Measurement, measure } from './clients.ts';
import { type Answers, sendSteadily } from './isolation/healthy.ts';
import { type Way, ways } from './isolation/ways.ts';
import { type DurablePath, startDurable } from './paths/durable.ts';
import { startBenchProcess } from './processes.ts';
import { median, printMachine } from './report.ts';

const goals = { p99Ratio: 3, orderedRatio: 0.85 } as const;
/** Messages per second of all healthy clients. */
const healthyRate = 130;
const patienceSeconds = 3;
/** Clients of the baseline that send the additional messages. */
const wellBehaved = 50;
const checkout = join(import.meta.dirname, '..');
/** Of the closed loop that compares orderings. */
const load = { connections: 100, messageBytes: 32, warmUpSeconds: 2, seconds: 5 } as const;
const orderedRounds = 3;
/** Of the columns of the table. */
const widths = [2, 46, 9, 11, 10, 9, 9, 9, 10, 9] as const;

interface Row {
  readonly way: Way;
  readonly stalled: Answers;
  readonly baseline: Answers;
  /** Messages per second that the gateway read beside those of healthy clients. */
  readonly extraRate: number;
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '8' }, only: { type: 'string', multiple: true } },
});
const seconds = Number(values.seconds);
const all = [...ways.keys(), ways.length].map((index) => index + 1);
const numbers = values.only?.map(Number) ?? all;
if (!(seconds >= 1 && seconds <= 120)) misuse('--seconds must be a number from 1 to 120');
if (numbers.some((number) => !all.includes(number))) misuse(`--only must be from 1 to ${all.length}`);

console.log(`isolation: ${healthyRate} messages/s of healthy clients, ${seconds} s beside each way`);
printMachine('ratios only, and those with care');
await run();

async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const interrupted = (): void => {
    stack.disposeAsync().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const port = await freePortBase();
  const script = join(import.meta.dirname, 'destination-process.ts');
  const destination = stack.use(startBenchProcess('destination', process.execPath, [script, `${port}`]));
  const destinationUrl = `http://127.0.0.1:${port}/`;
  await destination.answers(destinationUrl);

  printRow(['', 'way', 'p50', 'p99', 'delivered', 'beside', 'p50', 'p99', 'p99 ratio', `goal <= ${goals.p99Ratio}`]);
  for (const number of numbers) {
    const way = ways[number - 1];
    if (way !== undefined) printWay(number, await measureWay(way, destinationUrl));
  }
  if (numbers.includes(all.length)) await compareOrderings(destinationUrl);
}

async function measureWay(way: Way, destinationUrl: string): Promise<Row> {
  const healthy = { connections: way.connections, rate: healthyRate, seconds, patienceSeconds };
  let stalled: Answers;
  let extraRate: number;
  {
    await using path = await startFor(way, destinationUrl);
    const startMs = performance.now();
    using _stall = await way.begin(path);
    stalled = await sendSteadily({ ...healthy, url: path.url });
    const read = await messagesRead(path);
    extraRate = Math.max(0, read - stalled.sent) / ((performance.now() - startMs) / 1000);
  }
  await using path = await startFor(way, destinationUrl);
  const beside = { ...healthy, connections: wellBehaved, rate: extraRate, url: path.url };
  const [baseline] = await Promise.all([sendSteadily({ ...healthy, url: path.url }), sendSteadily(beside)]);
  return { way, stalled, baseline, extraRate };
}

function startFor(way: Way, destinationUrl: string): Promise<DurablePath> {
  const rules = [['^good', ''] as const, ...way.rules].map(([pattern, path], index) => ({
    name: `rule-${index}`,
    pattern,
    destination: { url: destinationUrl + path, reply: path === '' },
  }));
  const { group = {}, delivery = {}, processors = 1 } = way;
  const processor = { routing: { rules }, delivery };
  return startDurable({ name: way.title, checkout, destinationUrl, group, processor, processors });
}

async function messagesRead({ probesUrl }: DurablePath): Promise<number> {
  const text = await (await fetch(`${probesUrl}/metrics`)).text();
  return Number(/^hydrogen_gateway_messages_received_total\{[^}]*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

/** The rates of both orderings in turns; on a busy machine, CPU time per message says more. */
async function compareOrderings(destinationUrl: string): Promise<void> {
  const start = (ordering: string) =>
    startDurable({ name: ordering, checkout, destinationUrl, processor: { delivery: { ordering } } });
  await using unordered = await start('Unordered');
  await using ordered = await start('PerConnection');
  const rounds: { readonly rate: number; readonly cpu: number }[] = [];
  for (let round = 1; round <= orderedRounds; round += 1) {
    // Who goes first alternates.
    const pair = round % 2 === 0 ? [unordered, ordered] : [ordered, unordered];
    const measured = new Map<DurablePath, Measurement>();
    for (const path of pair) measured.set(path, await measure(path.url, load, path.processes));
    const [free, strict] = [measured.get(unordered), measured.get(ordered)];
    if (free === undefined || strict === undefined) continue;
    rounds.push({ rate: strict.rate / free.rate, cpu: cpuOf(strict) / cpuOf(free) });
    console.log(`${round}  Unordered ${free.rate.toFixed(0)}/s, PerConnection ${strict.rate.toFixed(0)}/s`);
  }
  const ratio = median(rounds.map(({ rate }) => rate));
  const cpu = median(rounds.map((one) => one.cpu));
  const verdict = ratio >= goals.orderedRatio ? 'met' : 'MISSED';
  console.log(`${all.length}  PerConnection / Unordered at ${load.connections} connections`);
  console.log(
    `   rate ${ratio.toFixed(2)} (goal >= ${goals.orderedRatio}: ${verdict}), CPU per message ${cpu.toFixed(2)}`,
  );
}

function cpuOf({ cpuMicroseconds }: Measurement): number {
  return Object.values(cpuMicroseconds).reduce((sum, us) => sum + us, 0);
}

function printWay(number: number, { way, stalled, baseline, extraRate }: Row): void {
  const ratio = stalled.p99Ms / baseline.p99Ms;
  const isWhole = stalled.answered === stalled.sent;
  const bound = isWhole ? '' : '> ';
  const verdict = ratio <= goals.p99Ratio && isWhole ? 'met' : 'MISSED';
  const delivered = `${stalled.answered}/${stalled.sent}`;
  const [p50, p99, calmP50, calmP99] = [stalled.p50Ms, stalled.p99Ms, baseline.p50Ms, baseline.p99Ms].map(inMs);
  const beside = `+${extraRate.toFixed(0)}/s`;
  printRow([
    `${number}`,
    way.title,
    p50,
    `${bound}${p99}`,
    delivered,
    beside,
    calmP50,
    calmP99,
    `${bound}${ratio.toFixed(1)}`,
    verdict,
  ]);
  if (stalled.stalledConnections === 0) return;
  const { stalledConnections, longestMs, othersP99Ms } = stalled;
  const others = `${inMs(othersP99Ms)}, ${(othersP99Ms / baseline.p99Ms).toFixed(1)} times`;
  console.log(
    `   ${stalledConnections} of ${way.connections} connections waited for more than a second, ${inMs(longestMs)} at most; ` +
      `p99 of the others ${others}`,
  );
}

function printRow(cells: readonly (string | undefined)[]): void {
  const padded = cells.map((cell = '', index) => {
    const width = widths[index] ?? 0;
    return index < 2 ? cell.padEnd(width) : cell.padStart(width);
  });
  console.log(padded.join(' ').trimEnd());
}

function inMs(ms: number): string {
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

function misuse(problem: string): never {
  console.error(problem);
  process.exit(2);
}
