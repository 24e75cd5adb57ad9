/** A crowd that takes every file descriptor: the gateway says so once, counts, and stays alive and well. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { platform } from 'node:os';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';

test('clients get no more descriptors than leave room for the rest', {
  skip: platform() !== 'linux' && 'only Linux says how many there are',
}, async () => {
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '--port-base', `${base}`], {}, undefined, 256);
  await eventually(async () => (await fetch(`http://127.0.0.1:${base + 1010}/readyz`)).status === 200, {
    timeoutMs: 30_000,
  });
  await using client = await connect(`ws://127.0.0.1:${base}/echo`);
  const sockets: Socket[] = [];
  for (let index = 0; index < 300; index++) {
    const socket = connectTcp(base, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  }
  const probes = `http://127.0.0.1:${base + 1010}`;
  await eventually(() => dev.output().includes('no file descriptors left for clients'));
  assert.equal((await fetch(`${probes}/livez`)).status, 200);
  const metrics = await (await fetch(`${probes}/metrics`)).text();
  assert.match(metrics, /upgrades_refused_total\{code="HYD_DESCRIPTORS_EXHAUSTED"\} [1-9]/);
  client.send('still here');
  assert.equal(await client.nextText(), 'still here');
  assert.equal(dev.output().split('no file descriptors left').length, 2);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => {
    await using next = await connect(`ws://127.0.0.1:${base}/echo`);
    return next.socket.readyState === next.socket.OPEN;
  });
});
