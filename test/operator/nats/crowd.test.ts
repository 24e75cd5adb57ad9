/** Many processors of one group, each with a consumer for every partition: much to read, and all of it asked for. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { HydrogenMessageProcessor } from '../../../crds/index.ts';
import { Buses } from '../../../operator/nats/buses.ts';
import { groupDocument, parsed, processorDocument } from '../../kit/documents.ts';
import { eventually } from '../../kit/eventually.ts';
import { natsOrSkip, startNats } from '../../kit/nats.ts';

const skip = await natsOrSkip();
const count = 100;
/** Apart by this much they are not worked on together, so that the list is read again and again while it grows. */
const apartMs = 50;

const naming = { namespace: 'shop' };
const chat = parsed(groupDocument({ stream: { storage: 'Memory', maxBytes: '10Mi' } }, naming));

function orderedProcessor(index: number): HydrogenMessageProcessor {
  const spec = { delivery: { ordering: 'PerConnection' } };
  return parsed(processorDocument(spec, { ...naming, name: `p${index}` }));
}

test('a server that answers for thousands of consumers is not taken for a hostile one', { skip }, async () => {
  await using nats = await startNats();
  const events: string[] = [];
  const answered = new Set<string>();
  const buses = new Buses({
    kube: { get: async () => undefined },
    onChange: () => {},
    onProcessor: (key) => answered.add(key),
    onReports: () => undefined,
    onReportsKnown: () => undefined,
    onEvent: (_, event, detail) => events.push(`${event} ${detail}`),
    onBug: (error) => assert.fail(String(error)),
    serversOf: () => [nats.url],
  });
  try {
    buses.want(chat);
    await eventually(() => buses.want(chat).state === 'up');
    for (let index = 0; index < count; index++) {
      buses.wantConsumers(chat, orderedProcessor(index));
      await sleep(apartMs);
    }
    await eventually(() => answered.size === count, { timeoutMs: 120_000 });
    assert.deepEqual(
      Array.from({ length: count }, (_, index) => buses.wantConsumers(chat, orderedProcessor(index))).filter(Boolean),
      [],
    );
    assert.deepEqual(
      events.filter((event) => /disconnected|connectFailed/.test(event)),
      [],
    );
    assert.equal(buses.want(chat).state, 'up');
  } finally {
    await buses.stop();
  }
});
