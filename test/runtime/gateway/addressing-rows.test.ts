/** Every request about users, channels and lists, asked of each gateway of a group: the answer is the same. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { Client } from '../../kit/client.ts';
import { eventually } from '../../kit/eventually.ts';
import type { TestGateway } from '../../kit/gateway.ts';
import { type Answer, ask, type MakeGroup, onBothBuses, startGroup } from './group.ts';

interface Scene {
  /** The gateway that is asked. */
  ask(method: string, path: string, body?: string, headers?: Record<string, string>): Promise<Answer>;
  /** A member of `c` at the first gateway, of user `a`. */
  readonly near: Client;
  /** A member of `c` at the second gateway, of user `a`. */
  readonly far: Client;
  readonly nearId: string;
  readonly farId: string;
}

type Row = readonly [title: string, run: (scene: Scene) => Promise<void>];

const both = { connections: 2, unanswered: 0 };
const sentToBoth = { connections: 2, sent: 2, full: 0, unanswered: 0 };

async function heard(clients: readonly Client[], ...texts: string[]): Promise<void> {
  await eventually(() => clients.every((client) => client.texts.length >= texts.length));
  for (const client of clients) assert.deepEqual(client.texts, texts);
}

/** Sends with the path given, and again with the name in the query. */
function sendRows(kind: 'user' | 'channel', name: string): Row[] {
  const forms = [`/${kind}s/${name}/_send`, `/${kind}s/_send?${kind}=${name}`];
  const with_ = (form: string, parameter: string): string => `${form}${form.includes('?') ? '&' : '?'}${parameter}`;
  return forms.flatMap((form): Row[] => [
    [
      `POST ${form}`,
      async ({ ask, near, far }) => {
        assert.deepEqual(await ask('POST', form, 'hi'), { status: 200, body: sentToBoth });
        await heard([near, far], 'hi');
      },
    ],
    [
      `POST ${with_(form, 'except=ID')}`,
      async ({ ask, near, far, nearId, farId }) => {
        const one = { connections: 1, sent: 1, full: 0, unanswered: 0 };
        assert.deepEqual((await ask('POST', with_(form, `except=${nearId}`), 'far')).body, one);
        assert.deepEqual((await ask('POST', with_(form, `except=${farId}`), 'near')).body, one);
        await heard([near], 'near');
        await heard([far], 'far');
      },
    ],
    [
      `POST ${with_(form, 'wait=false')}`,
      async ({ ask, near, far }) => {
        assert.deepEqual(await ask('POST', with_(form, 'wait=false'), 'hi'), { status: 202, body: {} });
        await heard([near, far], 'hi');
      },
    ],
    [
      `POST ${form} with idempotency-key`,
      async ({ ask, near, far }) => {
        const key = { 'idempotency-key': randomUUID() };
        const first = await ask('POST', form, 'hi', key);
        assert.deepEqual(first, { status: 200, body: sentToBoth });
        assert.deepEqual(await ask('POST', form, 'hi', key), first);
        assert.equal((await ask('POST', form, 'end', { 'idempotency-key': randomUUID() })).status, 200);
        await heard([near, far], 'hi', 'end');
      },
    ],
  ]);
}

function disconnectRows(kind: 'user' | 'channel', name: string): Row[] {
  return [`/${kind}s/${name}/_disconnect?code=4000`, `/${kind}s/_disconnect?${kind}=${name}&code=4000`].map((path) => [
    `POST ${path}`,
    async ({ ask, near, far }) => {
      assert.deepEqual(await ask('POST', path, 'moved'), { status: 200, body: both });
      for (const client of [near, far]) assert.deepEqual(await client.closed, { code: 4000, reason: 'moved' });
    },
  ]);
}

const membershipRows: Row[] = [
  [
    'PUT and DELETE /channels/{channel}/connections/{id}',
    async ({ ask, nearId, farId }) => {
      for (const [i, id] of [nearId, farId].entries()) {
        assert.equal((await ask('PUT', `/channels/d/connections/${id}`)).status, 204);
        assert.equal((await ask('POST', '/channels/d/_send', 'hi')).body.sent, i + 1);
      }
      for (const [i, id] of [nearId, farId].entries()) {
        assert.equal((await ask('DELETE', `/channels/d/connections/${id}`)).status, 204);
        assert.equal((await ask('POST', '/channels/d/_send', 'hi')).body.sent, 1 - i);
      }
      assert.equal((await ask('PUT', `/channels/d/connections/${farId.slice(0, 13)}${'0'.repeat(32)}`)).status, 410);
    },
  ],
  [
    'PUT and DELETE /channels/{channel}/users/{user}',
    async ({ ask }) => {
      assert.deepEqual((await ask('PUT', '/channels/d/users/a')).body, { ...both, refused: 0 });
      assert.equal((await ask('POST', '/channels/d/_send', 'hi')).body.sent, 2);
      assert.equal((await ask('DELETE', '/channels/d/users/a')).body.connections, 2);
      assert.equal((await ask('POST', '/channels/d/_send', 'hi')).body.sent, 0);
    },
  ],
];

const listRows: Row[] = ['/connections?user=a&channel=c&endpoint=/chat', '/users/a', '/channels/c'].map((path) => [
  `GET ${path}`,
  async ({ ask, nearId, farId }) => {
    const ids: unknown[] = [];
    let cursor: unknown;
    do {
      const { body } = await ask(
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}limit=1${cursor === undefined ? '' : `&cursor=${cursor}`}`,
      );
      assert.deepEqual({ connections: body.connections, unanswered: body.unanswered }, both);
      ids.push(...(body.items as { connection_id: string }[]).map((item) => item.connection_id));
      cursor = body.cursor;
    } while (cursor !== undefined);
    assert.deepEqual(ids, [nearId, farId].sort());
  },
]);

const rows: Row[] = [
  ...sendRows('user', 'a'),
  ...sendRows('channel', 'c'),
  ...disconnectRows('user', 'a'),
  ...disconnectRows('channel', 'c'),
  ...membershipRows,
  ...listRows,
];

/** Runs one row at each gateway, with clients of its own. */
async function runRow(makeGroup: MakeGroup, [, run]: Row): Promise<void> {
  await using group = await startGroup(makeGroup);
  for (const gateway of group.gateways) {
    const idAt = async (at: number): Promise<[Client, string]> => {
      const before = await idsOf(gateway);
      const client = await group.connect(at, 'user=a&channels=c');
      const id = await eventually(
        async () => (await idsOf(gateway)).find((one) => !before.includes(one)) ?? assert.fail(),
      );
      return [client, id];
    };
    const [near, nearId] = await idAt(0);
    const [far, farId] = await idAt(1);
    await run({ ask: (...request) => ask(gateway, ...request), near, far, nearId, farId });
    for (const client of [near, far]) client.socket.terminate();
    await eventually(async () => assert.deepEqual(await idsOf(gateway), []));
  }
}

async function idsOf(gateway: TestGateway): Promise<string[]> {
  const { body } = await ask(gateway, 'GET', '/connections');
  return (body.items as { connection_id: string }[]).map((item) => item.connection_id);
}

await onBothBuses('each request, asked of either gateway,', (makeGroup) => {
  for (const row of rows) test(row[0], () => runRow(makeGroup, row));
});
