/**
 * Echo through a destination, closed loop, every part its own process. Two paths do the same work in turns: `durable`
 * (gateway, JetStream on files, message processor) and `floor` (one process, no bus; see floor.ts). Their ratio is what
 * durability costs; rates alone say little.
 *
 *   node bench/echo.ts [--connections 100] [--seconds 10] [--rounds 3] [--size 32]
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePortBase } from '../test/kit/ports.ts';
import { type Load, type Measurement, measure } from './clients.ts';
import { startNatsServer } from './nats-server.ts';
import { type BenchProcess, startBenchProcess } from './processes.ts';

const goals = { ratio: 0.45, gatewayMicroseconds: 45, mprocMicroseconds: 60 } as const;
const hydrogen = join(import.meta.dirname, '../cli/hydrogen.js');

const { load, rounds } = readOptions();
console.log(
  `echo through a destination: ${load.connections} connections, ${load.messageBytes} bytes, ` +
    `${rounds} rounds of ${load.seconds} s each way after ${load.warmUpSeconds} s of warm-up`,
);
console.log(`Node ${process.version}, ${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown CPU'}\n`);
if ((loadavg()[0] ?? 0) > availableParallelism() / 2) {
  console.log(`WARNING: others use this machine (load ${loadavg()[0]?.toFixed(1)}): trust CPU times, not rates\n`);
}

await using stack = new AsyncDisposableStack();
const interrupted = (): void => {
  stack.disposeAsync().finally(() => process.exit(130));
};
process.once('SIGINT', interrupted).once('SIGTERM', interrupted);

const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
stack.defer(() => rm(directory, { recursive: true, force: true }));

const destinationPort = await freePortBase();
const destinationUrl = `http://127.0.0.1:${destinationPort}/`;
const destination = stack.use(startNode('destination', [script('destination.ts'), `${destinationPort}`]));
await destination.answers(destinationUrl);

const floorPort = await freePortBase();
const floor = stack.use(startNode('floor', [script('floor.ts'), `${floorPort}`, destinationUrl]));
await floor.answers(`http://127.0.0.1:${floorPort}/`);

const nats = stack.use(await startNatsServer(join(directory, 'jetstream')));
const gatewayPort = await freePortBase();
const mprocProbePort = await freePortBase();
const config = await writeConfig(directory, nats.url, destinationUrl);
const gateway = stack.use(
  startNode('gateway', [hydrogen, 'gateway', '--config', config.gateway, '--port-base', `${gatewayPort}`]),
);
const mproc = stack.use(
  startNode('mproc', [hydrogen, 'mproc', '--config', config.mproc, '--probe-port', `${mprocProbePort}`]),
);
await mproc.answers(`http://127.0.0.1:${mprocProbePort}/readyz`);
await gateway.answers(`http://127.0.0.1:${gatewayPort + 1010}/readyz`);

const floorRounds: Measurement[] = [];
const durableRounds: Measurement[] = [];
const ratios: number[] = [];
const cpuRatios: number[] = [];
for (let round = 1; round <= rounds; round += 1) {
  const atFloor = await measure(`ws://127.0.0.1:${floorPort}/echo`, load, [floor, destination]);
  floorRounds.push(atFloor);
  print(round, 'floor', atFloor);
  const durable = await measure(`ws://127.0.0.1:${gatewayPort}/echo`, load, [
    gateway,
    mproc,
    nats.process,
    destination,
  ]);
  durableRounds.push(durable);
  print(round, 'durable', durable);
  ratios.push(durable.rate / atFloor.rate);
  cpuRatios.push(cpuInAll(atFloor) / cpuInAll(durable));
  console.log(`${round}  ratio    ${ratios.at(-1)?.toFixed(3)}  of CPU time ${cpuRatios.at(-1)?.toFixed(3)}\n`);
}

const cpuOf = (name: string): number => median(durableRounds.map((each) => each.cpuMicroseconds[name] ?? Number.NaN));
console.log('medians');
console.log(`  floor    ${median(floorRounds.map((each) => each.rate)).toFixed(0)}/s`);
console.log(`  durable  ${median(durableRounds.map((each) => each.rate)).toFixed(0)}/s`);
console.log(`  ratio    ${median(ratios).toFixed(3)}  ${verdict(median(ratios) >= goals.ratio, `>= ${goals.ratio}`)}`);
console.log(`  of CPU   ${median(cpuRatios).toFixed(3)}`);
for (const [name, goal] of [
  ['gateway', goals.gatewayMicroseconds],
  ['mproc', goals.mprocMicroseconds],
] as const) {
  console.log(`  ${name.padEnd(8)} ${cpuOf(name).toFixed(1)} us  ${verdict(cpuOf(name) <= goal, `<= ${goal} us`)}`);
}

function readOptions(): { load: Load; rounds: number } {
  const { values } = parseArgs({
    options: {
      connections: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '3' },
      size: { type: 'string', default: '32' },
    },
  });
  const seconds = readInteger('seconds', values.seconds, 1, 120);
  const load = {
    connections: readInteger('connections', values.connections, 1, 10_000),
    messageBytes: readInteger('size', values.size, 16, 131_072),
    warmUpSeconds: Math.min(4, seconds),
    seconds,
  };
  return { load, rounds: readInteger('rounds', values.rounds, 1, 20) };
}

function readInteger(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`--${option} must be a whole number from ${min} to ${max}`);
  process.exit(2);
}

/** The documents that the two processes read: JSON, which YAML contains. */
async function writeConfig(
  directory: string,
  natsUrl: string,
  destinationUrl: string,
): Promise<{ gateway: string; mproc: string }> {
  const document = (kind: string, spec: object): string =>
    JSON.stringify({ apiVersion: 'hydrogen.dev/v1alpha1', kind, metadata: { name: 'bench' }, spec });
  const groupRef = { name: 'bench' };
  const group = document('HydrogenGroup', { nats: { servers: [natsUrl] }, stream: { storage: 'File', replicas: 1 } });
  const files = {
    gateway: [group, document('HydrogenGateway', { groupRef, endpoints: [{ path: '/echo' }] })],
    mproc: [
      group,
      document('HydrogenMessageProcessor', {
        groupRef,
        routing: { rules: [{ name: 'all', pattern: '.*', destination: { url: destinationUrl, reply: true } }] },
      }),
    ],
  };
  const paths = { gateway: join(directory, 'gateway.yaml'), mproc: join(directory, 'mproc.yaml') };
  await writeFile(paths.gateway, files.gateway.join('\n---\n'));
  await writeFile(paths.mproc, files.mproc.join('\n---\n'));
  return paths;
}

function startNode(name: string, args: readonly string[]): BenchProcess {
  return startBenchProcess(name, process.execPath, args);
}

function script(name: string): string {
  return join(import.meta.dirname, name);
}

function print(round: number, path: string, measurement: Measurement): void {
  const { rate, p50Ms, p99Ms, cpuMicroseconds, silentClients } = measurement;
  const cpu = Object.entries(cpuMicroseconds).map(([name, us]) => `${name} ${us.toFixed(1)}`);
  console.log(
    `${round}  ${path.padEnd(8)} ${rate.toFixed(0).padStart(6)}/s  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ` +
      `CPU us/message: ${cpu.join(', ')}, in all ${cpuInAll(measurement).toFixed(1)}${silentClients > 0 ? `  WARNING: ${silentClients} clients got no answer` : ''}`,
  );
}

function cpuInAll({ cpuMicroseconds }: Measurement): number {
  return Object.values(cpuMicroseconds).reduce((sum, us) => sum + us, 0);
}

function verdict(isMet: boolean, goal: string): string {
  return `(goal ${goal}: ${isMet ? 'met' : 'missed'})`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}
