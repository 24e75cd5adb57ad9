/** What one group's NATS server can do to an operator that works for all groups. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { eventually } from '../../kit/eventually.ts';
import { type HostileNatsOptions, infoLine, startHostileNats } from '../../kit/hostile-nats.ts';
import { startFakeApi } from '../kit/api.ts';
import { condition, group, processor, startOperator } from '../kit/operator.ts';

const mebibyte = 1024 * 1024;
const kilobytes = 'x'.repeat(65_536);

/** Measures the peak memory of the process beyond its present use. */
function watchMemory(): { readonly growthBytes: number; stop(): void } {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  const sample = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timer = setInterval(sample, 10);
  return {
    get growthBytes() {
      sample();
      return peak - before;
    },
    stop: () => clearInterval(timer),
  };
}

/** A page of consumers after which more are announced, with something in each of them. */
function endlessPage(config: string): string {
  const consumer = `{"name":"c","num_pending":0,"num_ack_pending":0,"config":{"metadata":{"hydrogen-processor":"chat"},"x":${config}}}`;
  return `{"total":1000000000,"consumers":[${Array.from({ length: 256 }, () => consumer).join(',')}]}`;
}

const errorLine = '-ERR \'Permissions Violation for Subscription to "x"\'\r\n';
const servers = Array.from({ length: 2000 }, (_, index) => `10.0.0.1:${10_000 + index}`);
const gossip = infoLine.replace('"proto":1', `"proto":1,"connect_urls":${JSON.stringify(servers)}`);
const manyArrays = `[${'[],'.repeat(1200)}[]]`;

const attacks: readonly (readonly [title: string, server: HostileNatsOptions, says: RegExp])[] = [
  [
    'a greeting that does not end',
    {
      onConnect: ({ socket, flood }) => {
        socket.write('INFO {"x":"');
        flood(kilobytes);
      },
    },
    /a line of more than 65536 bytes/,
  ],
  [
    'something other than a greeting',
    { onConnect: ({ flood }) => flood('HTTP/1.1 200 OK\r\n'.repeat(1000)) },
    /does not speak the NATS protocol/,
  ],
  [
    'an error that does not end',
    {
      onReady: ({ socket, flood }) => {
        socket.write('-ERR ');
        flood(kilobytes);
      },
    },
    /a line of more than 65536 bytes/,
  ],
  [
    'a message of a gibibyte',
    {
      onReady: ({ socket, flood }) => {
        socket.write(`MSG x 1 ${1024 * mebibyte}\r\n`);
        flood(kilobytes);
      },
    },
    /a message of 1073741824 bytes/,
  ],
  [
    'messages that do not end',
    { onReady: ({ flood }) => flood(`MSG x 1 ${kilobytes.length}\r\n${kilobytes}\r\n`) },
    /more than 16777216 bytes at once/,
  ],
  [
    'small messages that do not end',
    { onReady: ({ flood }) => flood('MSG x 1 0\r\n\r\n'.repeat(1000)) },
    /more than 16777216 bytes at once/,
  ],
  [
    'pings whose answers it does not read',
    {
      onReady: ({ socket, flood }) => {
        socket.pause();
        flood('PING\r\n'.repeat(1000));
      },
    },
    /does not read|more than 16777216 bytes at once/,
  ],
  [
    'something outside the protocol',
    { onReady: ({ flood }) => flood('what?\r\n'.repeat(1000)) },
    /does not speak the NATS protocol/,
  ],
  [
    'a size that can be read in two ways',
    { onReady: ({ socket }) => void socket.write(`MSG x 1 5\r${1024 * mebibyte}\r\n`) },
    /does not speak the NATS protocol/,
  ],
  [
    'errors that do not end',
    { onReady: ({ flood }) => flood(errorLine.repeat(100)) },
    /more than 16777216 bytes at once/,
  ],
  [
    'servers of its cluster that do not end',
    { onReady: ({ flood }) => flood(gossip + gossip.replaceAll(':1', ':2')) },
    /more than 16777216 bytes at once/,
  ],
  [
    'consumers that do not end',
    { answer: (request) => (request.startsWith('CONSUMER.LIST') ? endlessPage('0') : undefined) },
    /lists more consumers of HYDROGEN_shop_chat than are read|more than 16777216 bytes at once/,
  ],
  [
    'consumers that are large in memory',
    { answer: (request) => (request.startsWith('CONSUMER.LIST') ? endlessPage(manyArrays) : undefined) },
    /more than 16777216 bytes at once/,
  ],
  [
    'an answer of JetStream that is too large',
    { answer: (request) => (request.startsWith('STREAM.INFO') ? `{"x":"${'x'.repeat(5 * mebibyte)}"}` : undefined) },
    /a message of \d+ bytes, and at most 4194304 are read/,
  ],
];

for (const [title, server, says] of attacks) {
  test(`a NATS server that sends ${title} is disconnected, and the group says why`, async () => {
    await using nats = await startHostileNats(server);
    await using api = await startFakeApi();
    await using running = startOperator(api.kubeconfig, { timing: { observeMs: 200 } });
    const memory = watchMemory();
    api.put('hydrogengroups', group(nats.url));
    api.put('hydrogenmessageprocessors', processor());
    const reachable = (): string => condition(api.get('hydrogengroups', 'chat'), 'BusReachable')?.message ?? '';
    await eventually(() => says.test(reachable()), { timeoutMs: 20_000 });
    memory.stop();
    assert.equal(condition(api.get('hydrogengroups', 'chat'), 'BusReachable').reason, 'BusUnreachable');
    assert.ok(nats.accepted <= 2, `${nats.accepted} connections`);
    assert.ok(nats.sentBytes < 32 * mebibyte, `${nats.sentBytes} bytes were taken`);
    assert.ok(memory.growthBytes < 128 * mebibyte, `${memory.growthBytes} bytes of memory`);
    const events = running.lines.filter(({ msg }) => msg === 'bus event');
    assert.ok(events.length <= 32, `${events.length} log lines`);
    assert.ok(JSON.stringify(running.lines).length < 200_000);
  });
}

test('connections to a NATS server that accepts them and says nothing are all closed', async () => {
  await using nats = await startHostileNats({ onConnect: () => undefined });
  await using api = await startFakeApi();
  await using _ = startOperator(api.kubeconfig);
  api.put('hydrogengroups', group(nats.url));
  await eventually(() => nats.accepted === 3, { timeoutMs: 30_000 });
  assert.equal(nats.open, 1);
});
