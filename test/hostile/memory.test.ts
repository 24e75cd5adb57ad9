/**
 * Clients that try at once to fill a gateway's memory with unfinished messages, large and in tiny fragments, with large
 * headers and with their number. The process stays within its budget, says so, and goes on to serve who behaves.
 */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { everythingTo, gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';

const maxMemoryBytes = 128 * 1024 * 1024;
const maxResidentBytes = 512 * 1024 * 1024;
const each = Number(process.env.HOSTILE_CLIENTS ?? 400);

function upgrade(path: string, header = ''): string {
  const fixed = 'Host: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';
  return `GET ${path} HTTP/1.1\r\n${fixed}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${header}\r\n`;
}

/** A masked frame with the mask 0 and a length of 16 bits or more. */
function frame(head: number, payload: Buffer): Buffer {
  const long = Buffer.alloc(14);
  long[0] = head;
  long[1] = 0xff;
  long.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([long, payload]);
}

const tiny = Buffer.from([0x00, 0x81, 0, 0, 0, 0, 0x78]);
const ways: readonly (readonly [title: string, path: string, bytes: Buffer])[] = [
  ['an unfinished message', '/chat', frame(0x01, Buffer.alloc(250_000, 0x78))],
  ['tiny fragments', '/chat', Buffer.concat([frame(0x01, Buffer.from('x')), ...Array(1_000).fill(tiny)])],
  ['half a frame', '/chat', frame(0x81, Buffer.alloc(250_000, 0x78)).subarray(0, 200_000)],
];

async function residentBytes(pid: number, field: 'VmHWM' | 'VmRSS'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
}

test('a gateway stays within its memory whatever clients try, and serves the others', {
  skip: platform() !== 'linux' && 'only Linux says how much memory a process had',
}, async (context) => {
  await using echo = await startDestination((request) => ({ body: String(request.json().message) }));
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-hostile-'));
  context.after(() => rm(directory, { recursive: true }));
  const file = join(directory, 'app.yaml');
  const endpoints = [{ path: '/chat' }, { path: '/echo' }];
  const limits = { maxMemoryBytes };
  const reply = everythingTo(echo.url, { reply: true });
  await writeFile(
    file,
    yaml(
      groupDocument(),
      gatewayDocument({ endpoints, limits }),
      processorDocument({ routing: reply }, { name: 'echo' }),
    ),
  );
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '-f', file, '--port-base', `${base}`, '--log-level', 'info']);
  await eventually(async () => (await fetch(`http://127.0.0.1:${base + 1010}/readyz`)).status === 200, {
    timeoutMs: 120_000,
  });
  await using honest = await connect(`ws://127.0.0.1:${base}/echo`);
  const attack: { socket: Socket; bytes: Buffer }[] = [];
  const open = (path: string, bytes: Buffer, header = ''): void => {
    const socket = connectTcp(base, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(upgrade(path, header));
    attack.push({ socket, bytes });
  };
  for (let index = 0; index < each; index++) {
    for (const [, path, bytes] of ways) open(path, bytes);
    open('/chat', Buffer.alloc(0), `Cookie: ${'x'.repeat(15_000)}\r\n`);
  }
  const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${base + 1010}/metrics`)).text();
  const opened = /connections_opened_total\{endpoint="\/chat"\} (\d+)/;
  await eventually(async () => opened.exec(await metrics())?.[1] === `${attack.length}`, { timeoutMs: 120_000 });
  for (const { socket, bytes } of attack) socket.write(bytes);
  const said = 'too much memory for clients, the largest are closed';
  await eventually(() => dev.output().includes(said), { timeoutMs: 60_000 }).catch(async (cause) => {
    const resident = (await residentBytes(dev.pid, 'VmRSS')) / 2 ** 20;
    throw new Error(`${resident} MiB; ${dev.output().slice(-2_000)}`, { cause });
  });
  honest.send('still here');
  assert.equal(await honest.nextText(120_000), 'still here');
  for (const { socket } of attack) socket.destroy();
  await eventually(
    async () => {
      await using next = await connect(`ws://127.0.0.1:${base}/echo`);
      next.send('welcome');
      return (await next.nextText()) === 'welcome';
    },
    { timeoutMs: 60_000 },
  );
  const peak = await residentBytes(dev.pid, 'VmHWM');
  context.diagnostic(
    `${attack.length} clients, peak ${Math.round(peak / 2 ** 20)} MiB, budget ${maxMemoryBytes / 2 ** 20} MiB`,
  );
  assert.ok(peak < maxResidentBytes, `${peak} bytes`);
});
