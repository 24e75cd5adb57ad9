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

test('dead letters are chosen by rule, reason and age, shown by a dry run, and replayed in order', {
  skip,
}, async () => {
  await using nats = await startNats();
  await using destination = await startDestination((request) => ({
    status: String(request.json().message).startsWith('bad') ? 422 : 302,
  }));
  const group = { natsUrl: nats.url };
  const { url } = destination;
  const rules = [
    { name: 'bad', pattern: '^bad', destination: { url } },
    { name: 'moved', pattern: '.*', destination: { url } },
  ];
  const spec = { routing: { rules }, delivery: { maxAttempts: 1 } };
  await using mproc = await startMprocProcess({ group, spec });
  await using gateway = await startGatewayProcess({ group, spec: { endpoints: [{ path: '/chat' }] } });
  await using one = await connect(gateway.url('/chat'));
  await using two = await connect(gateway.url('/chat'));
  for (const n of [1, 2, 3]) for (const [name, client] of Object.entries({ one, two })) client.send(`bad ${name} ${n}`);
  one.send('moved 1');

  async function dlq(...args: string[]): Promise<{ code: number | string; output: string }> {
    await using command = startHydrogen(['dlq', ...args, '--config', mproc.file]);
    return { code: await command.exited, output: command.output() };
  }
  const list = async (...args: string[]): Promise<Record<string, unknown>[]> => {
    const { output } = await dlq('list', '--json', ...args);
    return output
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };
  await eventually(async () => (await list()).length === 7, { timeoutMs: 30_000 });
  const bad = await list('--rule', 'bad');
  assert.equal(bad.length, 6);
  assert.equal((await list('--reason', 'HYD_DESTINATION_REDIRECTED')).length, 1);
  assert.equal((await list('--newer-than', '1h')).length, 7);
  assert.equal((await list('--older-than', '1h')).length, 0);
  assert.equal((await list('--rule', 'bad', '--limit', '2')).length, 2);

  const dry = await dlq('purge', '--reason', 'HYD_DESTINATION_REDIRECTED', '--dry-run');
  assert.match(dry.output, /^SEQUENCE .*\n.*HYD_DESTINATION_REDIRECTED.*\nwould remove 1\n$/);
  assert.equal((await dlq('purge', '--all', '--dry-run')).output.split('\n').at(-2), 'would remove 7');
  assert.equal((await dlq('replay', '--older-than', '1h', '--dry-run')).output, 'would replay 0\n');
  assert.equal((await list()).length, 7);
  assert.equal((await dlq('purge', '--reason', 'HYD_DESTINATION_REDIRECTED')).output, 'removed 1\n');

  destination.handle(() => undefined);
  const before = destination.requests.length;
  // The order of the arguments does not matter.
  const backwards = bad.map(({ sequence }) => String(sequence)).reverse();
  assert.deepEqual(await dlq('replay', ...backwards), { code: 0, output: 'replayed 6\n' });
  await eventually(() => destination.requests.length === before + 6);
  const texts = destination.requests.slice(before).map((request) => String(request.json().message));
  for (const name of ['one', 'two']) {
    const own = texts.filter((text) => text.includes(name));
    assert.deepEqual(
      own,
      [1, 2, 3].map((n) => `bad ${name} ${n}`),
    );
  }
  for (const args of [
    ['replay'],
    ['replay', '1', '--all'],
    ['list', '--older-than', 'long'],
    ['purge', '--reason', '?'],
  ]) {
    const { code, output } = await dlq(...args);
    assert.equal(code, 2);
    assert.match(output, /^error: .+\n$/);
  }
});
