/** Users, channels and lists over several gateways of a group, on both buses. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../kit/eventually.ts';
import type { TestGateway } from '../../kit/gateway.ts';
import { ask, type MakeGroup, onBothBuses, startGroup } from './group.ts';

function messages(makeGroup: MakeGroup): void {
  test('a message to a user reaches all of its connections on all gateways, and nobody else', async () => {
    await using group = await startGroup(makeGroup);
    const alice = [
      await group.connect(0, 'user=alice'),
      await group.connect(0, 'user=alice'),
      await group.connect(1, 'user=alice'),
    ];
    const bob = await group.connect(1, 'user=bob');
    for (const gateway of group.gateways) {
      const { status, body } = await ask(gateway, 'POST', '/users/alice/_send', 'hi');
      assert.deepEqual([status, body], [200, { connections: 3, sent: 3, full: 0, unanswered: 0 }]);
      for (const client of alice) assert.equal(await client.nextText(), 'hi');
    }
    const nobody = await ask(group.gateways[0] ?? assert.fail(), 'POST', '/users/carol/_send', 'hi');
    assert.deepEqual(nobody, { status: 200, body: { connections: 0, sent: 0, full: 0, unanswered: 0 } });
    assert.deepEqual(bob.texts, []);
  });

  test('a message to a channel reaches its members but the excepted one, and not who has left or only joins later', async () => {
    await using group = await startGroup(makeGroup);
    const [one, two] = group.gateways as [TestGateway, TestGateway];
    const first = await group.connect(0, 'user=first&channels=room-1,room-2');
    const second = await group.connect(1, 'user=second');
    const idOf = async (user: string): Promise<string> => {
      const { body } = await ask(one, 'GET', `/users/${user}`);
      return String((body.items as { connection_id: string }[])[0]?.connection_id);
    };
    const [firstId, secondId] = [await idOf('first'), await idOf('second')];
    assert.equal((await ask(two, 'POST', '/channels/room-1/_send', '1')).body.sent, 1);
    assert.equal((await ask(one, 'PUT', `/channels/room-1/connections/${secondId}`)).status, 204);
    for (const gateway of group.gateways)
      assert.equal((await ask(gateway, 'POST', '/channels/room-1/_send', '2')).body.sent, 2);
    assert.equal((await ask(two, 'POST', `/channels/room-1/_send?except=${firstId}`, '3')).body.sent, 1);
    assert.equal((await ask(two, 'DELETE', `/channels/room-1/connections/${firstId}`)).status, 204);
    assert.equal((await ask(one, 'POST', '/channels/room-1/_send', '4')).body.sent, 1);
    assert.equal((await ask(one, 'POST', '/channels/room-2/_send', 'end')).body.sent, 1);
    await eventually(() => first.texts.includes('end') && second.texts.includes('4'));
    assert.deepEqual(
      [first.texts, second.texts],
      [
        ['1', '2', '2', 'end'],
        ['2', '2', '3', '4'],
      ],
    );
    second.socket.terminate();
    await eventually(async () => (await ask(one, 'POST', '/channels/room-1/_send', '5')).body.connections === 0);
    assert.equal((await ask(one, 'PUT', `/channels/room-1/connections/${secondId}`)).status, 410);
  });

  test('all connections of a user join and leave a channel, and are closed with one request', async () => {
    await using group = await startGroup(makeGroup);
    const [one, two] = group.gateways as [TestGateway, TestGateway];
    const clients = [await group.connect(0, 'user=a'), await group.connect(1, 'user=a')];
    await group.connect(1, 'user=b&channels=x');
    const joined = await ask(one, 'PUT', '/channels/x/users/a');
    assert.deepEqual(joined, { status: 200, body: { connections: 2, refused: 0, unanswered: 0 } });
    assert.equal((await ask(two, 'POST', '/channels/x/_send', 'hi')).body.sent, 3);
    assert.equal((await ask(two, 'DELETE', '/channels/x/users/a')).body.connections, 2);
    assert.equal((await ask(two, 'DELETE', '/channels/x/users/a')).body.connections, 0);
    assert.equal((await ask(one, 'POST', '/channels/x/_send', 'hi')).body.sent, 1);
    const closed = await ask(two, 'POST', '/users/a/_disconnect?code=4000', 'moved');
    assert.deepEqual(closed, { status: 200, body: { connections: 2, unanswered: 0 } });
    for (const client of clients) assert.deepEqual(await client.closed, { code: 4000, reason: 'moved' });
    assert.equal((await ask(one, 'POST', '/channels/x/_disconnect', 'over')).body.connections, 1);
    await eventually(async () => (await ask(one, 'GET', '/connections')).body.connections === 0);
  });
}

function listsAndNames(makeGroup: MakeGroup): void {
  test('lists the connections of the whole group page by page, in the same order from each gateway', async () => {
    await using group = await startGroup(makeGroup, 3);
    for (let i = 0; i < 9; i++) await group.connect(i % 3, `user=u${i % 2}&channels=c${i}`);
    for (const gateway of group.gateways) {
      const ids: string[] = [];
      let cursor = '';
      do {
        const { body } = await ask(gateway, 'GET', `/connections?limit=4${cursor}`);
        assert.equal(body.connections, 9);
        ids.push(...(body.items as { connection_id: string }[]).map((item) => item.connection_id));
        cursor = body.cursor === undefined ? '' : `&cursor=${body.cursor}`;
      } while (cursor !== '');
      assert.equal(ids.length, 9);
      assert.deepEqual(ids, [...new Set(ids)].sort());
      const ofUser = await ask(gateway, 'GET', '/connections?user=u1&endpoint=/chat');
      assert.equal((ofUser.body.items as unknown[]).length, 4);
      assert.equal((await ask(gateway, 'GET', '/connections?endpoint=/feed')).body.connections, 0);
      assert.equal((await ask(gateway, 'GET', '/channels/c3')).body.connections, 1);
    }
  });

  test('names are compared byte by byte, whatever they contain', async () => {
    await using group = await startGroup(makeGroup);
    const names = ['a.b', 'a b', '*', '>', 'ä', 'a\u0308', '/', 'x'.repeat(128), '=41', 'A'];
    const clients = await Promise.all(names.map((name, i) => group.connect(i % 2, `user=${encodeURIComponent(name)}`)));
    for (const [i, name] of names.entries()) {
      const gateway = group.gateways[i % 2] ?? assert.fail();
      const byPath = await ask(gateway, 'POST', `/users/${encodeURIComponent(name)}/_send`, name);
      assert.deepEqual([byPath.status, byPath.body.connections], [200, 1], name);
      const byQuery = await ask(gateway, 'POST', `/users/_send?user=${encodeURIComponent(name)}`, name);
      assert.deepEqual([byQuery.status, byQuery.body.connections], [200, 1], name);
    }
    for (const [i, client] of clients.entries()) {
      await eventually(() => client.texts.length === 2);
      assert.deepEqual(client.texts, [names[i], names[i]]);
    }
  });

  test('a message that is not waited for is accepted, and arrives', async () => {
    await using group = await startGroup(makeGroup);
    const client = await group.connect(1, 'channels=c');
    const { status, body } = await ask(
      group.gateways[0] ?? assert.fail(),
      'POST',
      '/channels/c/_send?wait=false',
      'hi',
    );
    assert.deepEqual([status, body], [202, {}]);
    assert.equal(await client.nextText(), 'hi');
  });
}

function suite(makeGroup: MakeGroup): void {
  messages(makeGroup);
  listsAndNames(makeGroup);
}

await onBothBuses('addressing', suite);
