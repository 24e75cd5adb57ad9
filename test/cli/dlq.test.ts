import assert from 'node:assert/strict';
import test from 'node:test';
import { connect } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { startGatewayProcess, startHydrogen, startMprocProcess } from '../kit/hydrogen.ts';
import { natsOrSkip, startNats } from '../kit/nats.ts';

const skip = await natsOrSkip();

test('dead letters can be listed, shown, replayed to their processor alone, and purged', { skip }, async () => {
  await using nats = await startNats();
  await using broken = await startDestination(() => ({ status: 422 }));
  await using healthy = await startDestination();
  const group = { natsUrl: nats.url };
  const rules = (url: string): Record<string, unknown> => ({
    routing: { rules: [{ name: 'all', pattern: '.*', destination: { url } }] },
  });
  await using mproc = await startMprocProcess({ group, name: 'broken', spec: rules(broken.url) });
  await using _healthy = await startMprocProcess({ group, name: 'healthy', spec: rules(healthy.url) });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  await using client = await connect(gateway.url('/chat'));
  for (const text of ['one', 'two', 'three']) client.send(text);

  async function dlq(...args: string[]): Promise<{ code: number | string; output: string }> {
    await using command = startHydrogen(['dlq', ...args, '--config', mproc.file]);
    return { code: await command.exited, output: command.output() };
  }
  const list = async (): Promise<Record<string, unknown>[]> => {
    const { code, output } = await dlq('list', '--json');
    assert.equal(code, 0, output);
    return output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };
  const letters = await eventually(async () => {
    const found = await list();
    return found.length === 3 && found;
  });
  for (const letter of letters) {
    assert.equal(letter.code, 'HYD_DESTINATION_REJECTED');
    assert.deepEqual([letter.status, letter.rule, letter.endpoint, letter.attempts], [422, 'all', '/chat', 1]);
  }
  assert.match((await dlq('list')).output, /^SEQUENCE +DIED AT .*\n.*HYD_DESTINATION_REJECTED/);

  const [first, second] = letters.map((letter) => String(letter.sequence));
  assert.ok(first !== undefined && second !== undefined);
  const shown = JSON.parse((await dlq('show', first)).output);
  assert.equal(
    shown.body.message,
    broken.requests.find(({ headers }) => headers['hydrogen-message-id'] === shown.messageId)?.json().message,
  );

  broken.handle(() => undefined);
  const replayed = await dlq('replay', first);
  assert.deepEqual([replayed.code, replayed.output], [0, 'replayed 1\n']);
  await eventually(() => broken.requests.length === 4);
  const again = broken.requests[3];
  assert.equal(again?.headers['hydrogen-message-id'], shown.messageId);
  assert.equal(again?.headers['hydrogen-attempt'], '1');

  assert.deepEqual([(await dlq('purge', second)).output, (await list()).length], ['removed 1\n', 1]);
  const missing = await dlq('replay', second);
  assert.equal(missing.code, 1);
  assert.match(missing.output, /no such dead letter/);
  assert.equal((await dlq('purge')).code, 2);
  assert.equal((await dlq('replay', '--all')).output, 'replayed 1\n');
  assert.equal((await dlq('list')).output, 'no dead letters\n');
  await eventually(() => broken.requests.length === 5);
  assert.equal(healthy.requests.length, 3);
});
