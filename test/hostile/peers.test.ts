/** Somebody with access to the bus of a group sends what he likes; gateways live, and clients get only what is valid. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeBroadcast } from '../../runtime/peers/codec.ts';
import { createRandom } from '../fault/soak/random.ts';
import { connect } from '../kit/client.ts';
import { eventually } from '../kit/eventually.ts';
import { fuzzSeed } from '../kit/fuzz.ts';
import { startGateway, type TestGateway } from '../kit/gateway.ts';

/** The id of the only connection. */
async function onlyConnection(gateway: TestGateway): Promise<string> {
  return eventually(() => {
    const line = gateway.lines.find(({ msg }) => msg === 'connection opened');
    return line === undefined ? false : `${line.connectionId}`;
  });
}

test('a disconnect with a close code that cannot be sent ends neither the gateway nor the connection', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const id = await onlyConnection(gateway);
  const peer = gateway.broker.connect();
  await peer.start();
  const request = Buffer.concat([Buffer.from([3, id.length]), Buffer.from(id), Buffer.from([0, 0])]);
  const answer = await peer.peers.request(gateway.gateway.instanceId, request, 2_000);
  assert.deepEqual(answer.kind === 'answer' && [...answer.payload], [5]);
  client.send('still here');
  await eventually(() => gateway.messages.length === 1);
  await peer.stop();
});

test('text that is not UTF-8 reaches no client, and is counted and logged', async () => {
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const id = await onlyConnection(gateway);
  const peer = gateway.broker.connect();
  await peer.start();
  const noUtf8 = Buffer.from([0xc3, 0x28]);
  const send = Buffer.concat([Buffer.from([1, id.length]), Buffer.from(id), noUtf8]);
  await peer.peers.request(gateway.gateway.instanceId, send, 2_000);
  await peer.peers.broadcast(encodeBroadcast({ endpoints: undefined, data: noUtf8, isBinary: false }));
  await peer.peers.broadcast(encodeBroadcast({ endpoints: undefined, data: Buffer.from('valid'), isBinary: false }));
  assert.equal(await client.nextText(), 'valid');
  assert.equal(client.socket.readyState, client.socket.OPEN);
  const metrics = await (await fetch(`${gateway.probesUrl}/metrics`)).text();
  assert.match(metrics, /peer_messages_unreadable_total\{kind="request"\} 1\n/);
  assert.match(metrics, /peer_messages_unreadable_total\{kind="broadcast"\} 1\n/);
  assert.equal(gateway.lines.filter(({ msg }) => msg.startsWith('unreadable message')).length, 1);
  await peer.stop();
});

test('a crowd of random messages leaves a gateway serving', async () => {
  const random = createRandom(fuzzSeed);
  await using gateway = await startGateway();
  await using client = await connect(gateway.url('/chat'));
  const id = await onlyConnection(gateway);
  const peer = gateway.broker.connect();
  await peer.start();
  const head = (op: number): Buffer => Buffer.concat([Buffer.from([op, id.length]), Buffer.from(id)]);
  for (let round = 0; round < 500; round++) {
    const rest = Buffer.from(Array.from({ length: random.between(0, 40) }, () => random.between(0, 255)));
    // Valid disconnects and floods of the client would end it rightly.
    const op = random.pick([0, 1, 3, 4, 5, 7, 255]);
    const bytes = random.happens(0.5) ? Buffer.concat([head(op), rest]) : rest;
    await peer.peers.request(gateway.gateway.instanceId, bytes, 2_000);
    await peer.peers.broadcast(bytes);
  }
  client.send('still here');
  await eventually(() => gateway.messages.length === 1);
  await peer.stop();
});

test('an owner whose description is not JSON is not passed on to a service', async () => {
  await using gateway = await startGateway();
  const peer = gateway.broker.connect();
  await peer.start();
  const instance = 'fedcba987654';
  peer.peers.serve(instance, async () => Buffer.from('\0<script>'));
  const answer = await fetch(`${gateway.managementUrl}/connections/${instance}-${'0'.repeat(32)}`);
  assert.equal(answer.status, 500);
  assert.equal(((await answer.json()) as { code: string }).code, 'HYD_INTERNAL');
  await peer.stop();
});
