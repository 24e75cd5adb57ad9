/** Letters that somebody else stored: they hide no other letter, end no command, and do not reach the terminal raw. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { connect as connectNats, headers } from 'nats';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGatewayProcess, startHydrogen, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();
const name = 'hydrogen-dead-letter';
const facts = {
  id: 'm',
  connectionId: 'i-c',
  endpoint: '/chat',
  callbackUrl: '',
  attempts: 1,
  diedAtMs: 1_700_000_000_000,
  code: 'HYD_EXPIRED',
  detail: '',
};
/** Values of the header with the facts. */
const odd = [
  undefined,
  'no JSON',
  'null',
  '[]',
  JSON.stringify({ ...facts, diedAtMs: 1e300 }),
  JSON.stringify({ ...facts, detail: 1 }),
  JSON.stringify({ ...facts, callbackUrl: 'http://a\r\nx: y' }),
];

test('letters that no processor wrote are listed as such, left out of a replay, and removed', { skip }, async () => {
  await using nats = await startNats();
  await using destination = await startDestination(() => ({ status: 422 }));
  const group = { natsUrl: nats.url };
  const rule = { name: 'all', pattern: '.*', destination: { url: destination.url } };
  await using mproc = await startMprocProcess({ group, name: 'chat', spec: { routing: { rules: [rule] } } });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  async function dlq(...args: string[]): Promise<{ code: number | string; output: string }> {
    await using command = startHydrogen(['dlq', ...args, '--config', mproc.file]);
    return { code: await command.exited, output: command.output() };
  }
  const stranger = await connectNats({ servers: nats.url });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => stranger.close());
  for (const value of odd) {
    const header = headers();
    if (value !== undefined)
      header.set(
        name,
        value.replaceAll(/[\r\n]/g, (char) => JSON.stringify(char).slice(1, -1)),
      );
    await stranger.jetstream().publish('hydrogen.default_e2e.dlq.chat', 'odd', { headers: header });
  }
  const colourful = headers();
  colourful.set(name, JSON.stringify({ ...facts, detail: '\u001b[31mred' }));
  await stranger.jetstream().publish('hydrogen.default_e2e.dlq.chat', '{}', { headers: colourful });
  await using client = await connect(gateway.url('/chat'));
  client.send('rejected');
  await eventually(() => destination.requests.length === 1);

  const listed = await eventually(async () => {
    const answer = await dlq('list');
    return answer.output.includes('HYD_DESTINATION_REJECTED') && answer;
  });
  assert.equal(listed.code, 1);
  assert.equal(
    listed.output.match(/^[1-7] +20.* HYD_MESSAGE_UNREADABLE +no processor wrote this letter$/gm)?.length,
    7,
  );
  assert.match(listed.output, /no processor wrote 1, 2, 3, 4, 5, 6, 7; hydrogen dlq purge removes them by number/);
  assert.match(listed.output, /HYD_EXPIRED +\\u001b\[31mred$/m);
  assert.equal((await dlq('list', '--reason', 'HYD_DESTINATION_REJECTED')).code, 0);
  const shown = await dlq('show', '1');
  assert.deepEqual([shown.code, /"body": "odd"/.test(shown.output)], [1, true]);

  const one = await dlq('replay', '2');
  assert.equal(one.code, 1);
  assert.match(one.output, /replayed 0 of 1\n.*dead letter 2: no processor wrote this letter/s);
  destination.handle(() => undefined);
  const all = await dlq('replay', '--reason', 'HYD_DESTINATION_REJECTED');
  assert.deepEqual([all.code, all.output], [0, 'replayed 1\n']);
  await eventually(() => destination.requests.length === 2);
  const left = await dlq('replay', '--reason', 'HYD_MESSAGE_UNREADABLE');
  assert.match(left.output, /^replayed 0\n[\s\S]*no processor wrote 1, 2/);
  assert.equal((await dlq('purge', '--reason', 'HYD_MESSAGE_UNREADABLE')).output, 'removed 7\n');
  assert.equal((await dlq('list')).code, 0);
});
