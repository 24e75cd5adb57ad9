/** examples/chat, once for each language in which its service is written: the same behaviour three times. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { connect, refusal } from '../kit/client.ts';
import { startDestination } from '../kit/destination.ts';
import { eventually } from '../kit/eventually.ts';
import { freePortBase } from '../kit/ports.ts';
import { type Process, receives, root, startApp, startProcess } from './kit.ts';

const chat = join(root, 'examples/chat');

interface Language {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Why it can't run here; false when it can. */
  readonly skip: string | false;
}

const languages: Language[] = [
  { name: 'Node', command: process.execPath, args: [join(chat, 'destination.mjs')], skip: false },
  {
    name: 'Python',
    command: 'python3',
    args: [join(chat, 'destination.py')],
    skip: runs('python3', '--version') ? false : 'NOT TESTED: python3 is not on the PATH',
  },
  buildGo(),
];

for (const language of languages) {
  describe(`the chat example with its ${language.name} service`, { skip: language.skip }, () => {
    test('greets a client from inside the connect hook and announces it to the room', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using _bob = await connect(room.urlOf('bob'));

      await receives(alice, /^Welcome alice!/);
      await receives(alice, /^\* bob joined$/);
      assert.ok(!alice.texts.some((text) => text.startsWith('Welcome bob')));
    });

    test('sends a message to the room, under the name from the authorizer', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using bob = await connect(room.urlOf('bob'));

      alice.send('hello, room');

      await receives(bob, /^alice: hello, room$/);
      await receives(alice, /^alice: hello, room$/);
    });

    test('answers a command only to its sender', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using bob = await connect(room.urlOf('bob'));

      alice.send('/who');
      await receives(alice, /^You are alice, on connection [A-Za-z0-9-]+\.$/);
      alice.send('that was all');

      await receives(bob, /^alice: that was all$/);
      assert.ok(!bob.texts.some((text) => text.includes('You are')));
    });

    test('closes the connection of a client that says /quit and announces that it left', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using bob = await connect(room.urlOf('bob'));

      bob.send('/quit');

      assert.deepEqual(await bob.closed, { code: 1000, reason: 'Bye!' });
      await receives(alice, /^\* bob left$/);
    });

    test('refuses the upgrade of a client without a name with 403', async (t) => {
      await using room = await openRoom(t, language);

      assert.equal((await refusal(room.url)).status, 403);
      assert.equal((await refusal(`${room.url}?name=not%20a%20name`)).status, 403);
    });

    test('with a key, takes only what is signed; without one, calls back on known hosts alone', async (t) => {
      const signingKey = `whsec_${randomBytes(32).toString('base64')}`;
      await using callback = await startDestination(() => ({ body: '{}' }));
      const body = JSON.stringify({
        connection_id: 'c',
        callback: callback.url.slice(0, -1),
        message: 'hi',
        context: {},
      });
      const post = async (port: number, headers: Record<string, string>, text = body): Promise<number> =>
        (
          await fetch(`http://127.0.0.1:${port}/messages`, {
            method: 'POST',
            body: text,
            headers: { 'hydrogen-message-id': 'm-1', ...headers },
          })
        ).status;
      const signed = (key: string): Record<string, string> => {
        const date = new Date();
        const signature = new Webhook(key).sign('m-1', date, body);
        const timestamp = `${Math.floor(date.getTime() / 1000)}`;
        return { 'webhook-id': 'm-1', 'webhook-timestamp': timestamp, 'webhook-signature': signature };
      };
      const port = await freePortBase();
      {
        await using _service = await startService(t, language, port, { SIGNING_KEY: signingKey });
        assert.equal(await post(port, {}), 401);
        assert.equal(await post(port, signed(`whsec_${randomBytes(32).toString('base64')}`)), 401);
        assert.equal(await post(port, signed(signingKey), `${body} `), 401);
        assert.equal(callback.requests.length, 0);
        assert.equal(await post(port, signed(signingKey)), 200);
        assert.equal(callback.requests.length, 1);
      }
      await using _service = await startService(t, language, port, { CALLBACK_HOSTS: 'gateway.example' });
      assert.equal(await post(port, {}), 503);
      assert.equal(callback.requests.length, 1);
    });

    test('loses no message that is sent while the service is down', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using bob = await connect(room.urlOf('bob'));
      await receives(bob, /^Welcome bob!/);

      await room.stopService();
      const sentences = ['one', 'two', 'three'];
      for (const sentence of sentences) alice.send(sentence);
      await using _service = await startService(t, language, room.destinationPort);

      await receives(bob, /^alice: three$/);
      const heard = bob.texts.filter((text) => text.startsWith('alice: '));
      assert.deepEqual(heard, ['alice: one', 'alice: two', 'alice: three']);
    });
  });
}

for (const language of languages) {
  describe(`users of the chat example with its ${language.name} service`, { skip: language.skip }, () => {
    test('sends to one user, on all connections of it, and says when it is not here', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      await using bobs = new AsyncDisposableStack();
      const clients = [await connect(room.urlOf('bob')), await connect(room.urlOf('bob'))];
      for (const client of clients) bobs.use(client);

      alice.send('/to bob come here');
      for (const bob of clients) await receives(bob, /^alice to you: come here$/);
      await receives(alice, /^To bob: come here$/);
      alice.send('/to carol&except=x hi');
      await receives(alice, /^carol&except=x is not here\.$/);
      assert.ok(!alice.texts.some((text) => text.includes('to you')));
    });

    test('says what is delivered again to nobody twice', async (t) => {
      await using room = await openRoom(t, language);
      await using alice = await connect(room.urlOf('alice'));
      const body = { connection_id: 'c', user: 'bob', callback: room.managementUrl, message: 'once', context: {} };
      const deliver = async (id: string): Promise<number> => {
        const headers = { 'hydrogen-message-id': id };
        const url = `http://127.0.0.1:${room.destinationPort}/messages`;
        return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status;
      };
      for (const id of ['m-1', 'm-1', 'm-2']) assert.equal(await deliver(id), 200);
      await eventually(() => assert.equal(alice.texts.filter((text) => text === 'bob: once').length, 2));
      alice.send('end');
      await receives(alice, /^alice: end$/);
      assert.equal(alice.texts.filter((text) => text === 'bob: once').length, 2);
    });
  });
}

interface Room extends AsyncDisposable {
  readonly url: string;
  readonly managementUrl: string;
  readonly destinationPort: number;
  urlOf(name: string): string;
  stopService(): Promise<void>;
}

async function openRoom(t: TestContext, language: Language): Promise<Room> {
  await using stack = new AsyncDisposableStack();
  const app = stack.use(await startApp(t, 'chat/app.yaml', 9000));
  const service = stack.use(await startService(t, language, app.destinationPort));
  const kept = stack.move();
  const url = `${app.clientUrl}/chat`;
  return {
    url,
    managementUrl: app.managementUrl,
    destinationPort: app.destinationPort,
    urlOf: (name) => `${url}?name=${name}`,
    stopService: async () => service[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function startService(
  t: TestContext,
  language: Language,
  port: number,
  env: Record<string, string> = {},
): Promise<Process> {
  const service = startProcess(t, language.command, [...language.args], { PORT: `${port}`, ...env });
  await service.prints(/listening on port/);
  return service;
}

/** Like `go run`, but built once, so that the process to stop is the service itself. */
function buildGo(): Language {
  const language = { name: 'Go', args: [] };
  if (!runs('go', 'version')) return { ...language, command: 'go', skip: 'NOT TESTED: go is not on the PATH' };
  const directory = mkdtempSync(join(tmpdir(), 'hydrogen-chat-go-'));
  after(() => rmSync(directory, { recursive: true }));
  const command = join(directory, 'destination');
  const build = spawnSync('go', ['build', '-o', command, join(chat, 'destination.go')], { encoding: 'utf8' });
  if (build.status !== 0) throw new Error(`go build failed:\n${build.stderr}`);
  return { ...language, command, skip: false };
}

function runs(command: string, argument: string): boolean {
  return spawnSync(command, [argument]).status === 0;
}
