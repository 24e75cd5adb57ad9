/**
 * What users and channels cost one gateway: the memory of a membership, with 50,000 connections in 100,000 channels, and
 * a message to a channel of 10,000 members beside a broadcast to the same clients.
 *
 *   node bench/memberships.ts [--only memory|fan-out] [--members 10000] [--rounds 8]
 */

import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { WebSocket } from 'ws';
import { createNatsBus } from '../runtime/bus/nats/nats.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import { Members } from '../runtime/gateway/members.ts';
import type { Connection } from '../runtime/socket/connection.ts';
import { connect } from '../test/kit/client.ts';
import { startDestination } from '../test/kit/destination.ts';
import { eventually } from '../test/kit/eventually.ts';
import { startGatewayProcess } from '../test/kit/hydrogen.ts';
import { startNats, type TestNats } from '../test/kit/nats.ts';
import { cpuMicrosecondsOf } from './processes.ts';
import { median, printMachine, verdict } from './report.ts';

const goals = { bytesPerMembership: 600, publishRatio: 1.1 } as const;
const connectionCount = 50_000;
const channelCount = 100_000;
/** Channels of each connection: 1, 4 and 10 members in each of the channels. */
const channelsPerConnection = [2, 8, 20] as const;
const messagesPerRound = 20;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    members: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '8' },
  },
});
const [memberCount, rounds] = [Number(values.members), Number(values.rounds)];
if (![memberCount, rounds].every((value) => Number.isInteger(value) && value > 0)) {
  console.error('--members and --rounds are whole numbers above 0');
  process.exit(2);
}

printMachine('bytes, and ratios');
await using nats = await startNats();
if (values.only !== 'fan-out') await measureMemory(nats);
if (values.only !== 'memory') await measureFanOut(nats);

async function measureMemory(server: TestNats): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heldBytes = (): number => {
    for (let i = 0; i < 3; i++) collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  console.log(`\n${connectionCount} connections in ${channelCount} channels of one gateway, memory in bytes`);
  for (const [index, each] of channelsPerConnection.entries()) {
    const bus = busOf(server, `bench_memory_${index}`);
    await bus.start();
    await eventually(() => bus.peers.confirm(), { timeoutMs: 10_000 });
    const connections = Array.from({ length: connectionCount }, (_, i) => standIn(i, each));
    const members = new Members((address) => bus.peers.listen(address, () => {}));
    const beforeBytes = heldBytes();
    for (const connection of connections) members.add(connection);
    await bus.peers.confirm();
    const perMembership = (heldBytes() - beforeBytes) / members.memberships;
    const perChannel = (heldBytes() - beforeBytes) / channelCount;
    console.log(
      `${members.memberships} memberships: ${perMembership.toFixed(0)} a membership, ${perChannel.toFixed(0)} a channel ` +
        verdict(perMembership < goals.bytesPerMembership, `under ${goals.bytesPerMembership}`),
    );
    for (const connection of connections) members.remove(connection);
    await bus.stop();
  }
}

/** As much of a connection as memberships need. Each has its own copies of the names, as an authorizer's answer has. */
function standIn(index: number, each: number): Connection {
  const channels = Array.from({ length: each }, (_, i) => {
    return Buffer.from(`channel-${(index * each + i) % channelCount}`).toString();
  });
  return { id: `c-${index}`, user: undefined, channels } as unknown as Connection;
}

function busOf(server: TestNats, group: string): Bus {
  return createNatsBus({
    group,
    servers: [server.url],
    clientName: 'bench',
    stream: { storage: 'Memory', replicas: 1, maxAgeMs: 3_600_000, maxBytes: 1024 ** 2 },
    deadLetter: { maxAgeMs: 3_600_000, maxBytes: 1024 ** 2 },
    leaseMs: 30_000,
  });
}

async function measureFanOut(server: TestNats): Promise<void> {
  await using authorizer = await startDestination(() => ({ body: JSON.stringify({ channels: ['room'] }) }));
  await using gateway = await startGatewayProcess({
    group: { natsUrl: server.url },
    spec: { mode: 'ServerToClient', authorizer: { http: { url: authorizer.url } }, endpoints: [{ path: '/chat' }] },
  });
  const sockets: WebSocket[] = [];
  for (let i = 0; i < memberCount; i += 100) {
    const batch = Array.from({ length: Math.min(100, memberCount - i) }, () => connect(gateway.url('/chat')));
    for (const { socket } of await Promise.all(batch)) sockets.push(socket);
  }
  let heard = 0;
  for (const socket of sockets) {
    socket.removeAllListeners('message');
    socket.on('message', () => {
      heard += 1;
    });
  }
  const send = async (path: string): Promise<{ readonly cpu: number; readonly elapsed: number }> => {
    heard = 0;
    const [cpuBefore, startMs] = [cpuMicrosecondsOf(gateway.pid), performance.now()];
    for (let i = 0; i < messagesPerRound; i++) {
      const response = await fetch(gateway.managementUrl + path, { method: 'POST', body: 'x'.repeat(100) });
      await response.text();
      await eventually(() => heard === (i + 1) * memberCount, { timeoutMs: 30_000, everyMs: 1 });
    }
    return { cpu: cpuMicrosecondsOf(gateway.pid) - cpuBefore, elapsed: performance.now() - startMs };
  };
  const ways = { broadcast: '/connections/_broadcast', publish: '/channels/room/_send' };
  await send(ways.broadcast);
  await send(ways.publish);
  const ratios: { readonly cpu: number; readonly elapsed: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const [first, second] = round % 2 === 0 ? [ways.broadcast, ways.publish] : [ways.publish, ways.broadcast];
    const results = { [first]: await send(first), [second]: await send(second) };
    const [broadcast, publish] = [results[ways.broadcast], results[ways.publish]];
    if (broadcast === undefined || publish === undefined) throw new Error('a round has no result');
    ratios.push({ cpu: publish.cpu / broadcast.cpu, elapsed: publish.elapsed / broadcast.elapsed });
  }
  const [cpu, elapsed] = [median(ratios.map((one) => one.cpu)), median(ratios.map((one) => one.elapsed))];
  console.log(`\na message to a channel of ${memberCount} beside a broadcast to them, median of ${rounds} rounds`);
  console.log(
    `CPU of the gateway: ${cpu.toFixed(2)} ${verdict(cpu < goals.publishRatio, `under ${goals.publishRatio}`)}`,
  );
  console.log(`until all have it: ${elapsed.toFixed(2)}`);
  for (const socket of sockets) socket.terminate();
}
