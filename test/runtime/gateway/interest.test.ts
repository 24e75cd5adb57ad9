/** Who hears a message to a channel: the gateways with members, and no other one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../kit/eventually.ts';
import type { TestGateway } from '../../kit/gateway.ts';
import { ask, type MakeGroup, onBothBuses, startGroup } from './group.ts';

/** Requests about users and channels that a gateway has heard. */
async function heardBy({ probesUrl }: TestGateway): Promise<number> {
  const text = await (await fetch(`${probesUrl}/metrics`)).text();
  return Number(/^hydrogen_gateway_questions_total\{[^}]*kind="send"[^}]*\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

function suite(makeGroup: MakeGroup): void {
  test('a message to a channel with members on one of 20 gateways reaches that one alone', async () => {
    await using group = await startGroup(makeGroup, 20);
    const client = await group.connect(7, 'channels=rare');
    for (let at = 0; at < 20; at++) await group.connect(at, `user=u${at}&channels=common-${at}`);
    for (const [i, gateway] of group.gateways.entries()) {
      const { body } = await ask(gateway, 'POST', '/channels/rare/_send', `from ${i}`);
      assert.deepEqual(body, { connections: 1, sent: 1, full: 0, unanswered: 0 });
    }
    await eventually(() => client.texts.length === 20);
    const counts = await Promise.all(group.gateways.map(heardBy));
    assert.deepEqual(
      counts,
      Array.from({ length: 20 }, (_, at) => (at === 7 ? 20 : 0)),
    );
  });
}

await onBothBuses('interest', suite);
