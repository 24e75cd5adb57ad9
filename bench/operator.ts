/**
 * The operator under many gateways at once: its memory, time and requests to the API server when all gateways are new,
 * while nothing changes, and after a restart. With `--against` another checkout does the same first, and ratios are
 * printed: they say more than the figures of one machine.
 *
 *   node bench/operator.ts [--gateways 1000] [--idle-seconds 60] [--against CHECKOUT]
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { type BenchCluster, childrenOfEach, startBenchCluster } from './operator/cluster.ts';
import {
  type OperatorFigures,
  type OperatorImage,
  type OperatorProcess,
  shipOperator,
  startOperatorProcess,
} from './operator/process.ts';
import { startNatsServer } from './paths/nats-server.ts';
import { printMachine } from './report.ts';

const goals = { residentMegabytes: 130, idleCpuPercent: 1, idleRequests: 0, writesAfterRestart: 0 } as const;
const startTimeoutMs = 600_000;

/** One line of the report; lower is better for all of them. */
type Result = Record<keyof typeof rows, number>;

const rows = {
  inForce: ['s', 'until all are in force'],
  callsEach: ['', 'requests per gateway'],
  writesEach: ['', '  of these, writes'],
  cpu: ['s', 'CPU for it'],
  residentAtStart: ['MB', 'RSS at start'],
  resident: ['MB', 'RSS with all of them'],
  peak: ['MB', 'RSS at its peak'],
  heap: ['MB', 'heap in use'],
  idleCpu: ['%', 'CPU of a core while nothing changes'],
  idleRequests: ['', 'requests meanwhile, except the lease'],
  firstPass: ['s', 'first pass after a restart'],
  firstPassCpu: ['s', 'CPU for it'],
  firstPassReads: ['', '  its reads'],
  firstPassWrites: ['', '  its writes'],
  residentAgain: ['MB', 'RSS after it'],
  peakAgain: ['MB', 'RSS at its peak'],
} as const satisfies Record<string, readonly [unit: string, what: string]>;

const { values } = parseArgs({
  options: {
    gateways: { type: 'string', default: '1000' },
    'idle-seconds': { type: 'string', default: '60' },
    against: { type: 'string' },
  },
});
const gateways = Number(values.gateways);
const idleSeconds = Number(values['idle-seconds']);

console.log(`${gateways} gateways at once, ${childrenOfEach} children each; ${idleSeconds} s of rest; a restart`);
printMachine('memory and counts, not times');

const other = values.against === undefined ? undefined : await measure(values.against, false);
const own = await measure(join(import.meta.dirname, '..'), true);
for (const [name, [unit, what]] of Object.entries(rows) as [keyof Result, readonly [string, string]][]) {
  const [before, now] = [other?.[name], own[name]];
  const ratio = before === undefined || before === 0 ? '' : `  x ${(now / before).toFixed(2)}`;
  const compared = before === undefined ? '' : `${format(before)} -> `;
  console.log(`${what.padEnd(38)} ${compared}${format(now)} ${unit}${ratio}${verdict(name, now)}`);
}

/**
 * @param isInPod with the files of a service account; otherwise with a kubeconfig, which is all that older checkouts
 * accept
 */
async function measure(checkout: string, isInPod: boolean): Promise<Result> {
  await using run = new AsyncDisposableStack();
  const shipped = await shipOperator(checkout);
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  run.defer(() => rm(directory, { recursive: true, force: true }));
  const nats = run.use(await startNatsServer(join(directory, 'jetstream')));
  const cluster = run.use(await startBenchCluster());
  const burst = await measureBurst(shipped, cluster, nats.url, isInPod);
  return { ...burst, ...(await measureRestart(shipped, cluster, isInPod)) };
}

async function measureBurst(shipped: OperatorImage, cluster: BenchCluster, natsUrl: string, isInPod: boolean) {
  await using operator = await start(shipped, cluster, isInPod);
  await sleep(3000);
  const residentAtStart = operator.process.memoryBytes().resident;
  const [before, cpuBefore, startedMs] = [await operator.figures(), cpuSeconds(operator), performance.now()];
  await cluster.create(gateways, natsUrl);
  await cluster.untilInForce(gateways, startTimeoutMs);
  const inForce = (performance.now() - startedMs) / 1000;
  await atRest(operator);
  const after = await operator.figures();
  const cpu = cpuSeconds(operator) - cpuBefore;
  await sleep(idleSeconds * 1000);
  const atEnd = await operator.figures();
  const memory = operator.process.memoryBytes();
  const perSecond = (cpuSeconds(operator) - cpuBefore - cpu) / idleSeconds;
  console.log(`requests per gateway by verb: ${perGateway(before, after)}; lease: ${after.calls.lease}`);
  return {
    inForce,
    callsEach: (requests(after) - requests(before)) / gateways,
    writesEach: (writes(after) - writes(before)) / gateways,
    cpu,
    residentAtStart: megabytes(residentAtStart),
    resident: megabytes(memory.resident),
    peak: megabytes(memory.peak),
    heap: megabytes(atEnd.heapBytes),
    idleCpu: perSecond * 100,
    idleRequests: requests(atEnd) - requests(after),
  };
}

async function measureRestart(shipped: OperatorImage, cluster: BenchCluster, isInPod: boolean) {
  const startedMs = performance.now();
  await using operator = await start(shipped, cluster, isInPod);
  let figures = await operator.figures();
  while (figures.reconciles < gateways) {
    await sleep(50);
    figures = await operator.figures();
  }
  const firstPass = (performance.now() - startedMs) / 1000;
  await atRest(operator);
  figures = await operator.figures();
  const memory = operator.process.memoryBytes();
  return {
    firstPass,
    firstPassCpu: cpuSeconds(operator),
    firstPassReads: figures.calls.GET ?? 0,
    firstPassWrites: writes(figures),
    residentAgain: megabytes(memory.resident),
    peakAgain: megabytes(memory.peak),
  };
}

function start(shipped: OperatorImage, { kubeconfig, pod }: BenchCluster, isInPod: boolean): Promise<OperatorProcess> {
  return isInPod
    ? startOperatorProcess(shipped, ['--service-account', pod.serviceAccount], pod.env)
    : startOperatorProcess(shipped, ['--kubeconfig', kubeconfig]);
}

/** Resolves when nothing was reconciled or requested for some seconds, longer than any delay. */
async function atRest(operator: OperatorProcess): Promise<void> {
  let before = await operator.figures();
  for (let quietSeconds = 0; quietSeconds < 8; quietSeconds += 1) {
    await sleep(1000);
    const now = await operator.figures();
    if (!now.isAtRest || now.reconciles !== before.reconciles || writes(now) !== writes(before)) quietSeconds = 0;
    before = now;
  }
}

function writes({ calls }: OperatorFigures): number {
  return (calls.PATCH ?? 0) + (calls.POST ?? 0) + (calls.PUT ?? 0) + (calls.DELETE ?? 0);
}

/** All except those of the lease. A watch counts when it is opened. */
function requests(figures: OperatorFigures): number {
  return writes(figures) + (figures.calls.GET ?? 0);
}

function perGateway(before: OperatorFigures, after: OperatorFigures): string {
  const verbs = Object.keys(after.calls).filter((verb) => verb !== 'lease');
  return verbs
    .map((verb) => `${verb} ${(((after.calls[verb] ?? 0) - (before.calls[verb] ?? 0)) / gateways).toFixed(2)}`)
    .join(', ');
}

function cpuSeconds({ process: { cpuMicroseconds } }: OperatorProcess): number {
  return cpuMicroseconds() / 1e6;
}

function megabytes(bytes: number): number {
  return bytes / 1e6;
}

function format(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(value < 10 ? 2 : 1);
}

function verdict(name: keyof Result, value: number): string {
  const limits: Partial<Record<keyof Result, number>> = {
    resident: goals.residentMegabytes,
    residentAgain: goals.residentMegabytes,
    idleCpu: goals.idleCpuPercent,
    firstPassWrites: goals.writesAfterRestart,
  };
  const limit = limits[name];
  return limit === undefined ? '' : `  goal: at most ${limit}  ${value <= limit ? 'met' : 'MISSED'}`;
}
