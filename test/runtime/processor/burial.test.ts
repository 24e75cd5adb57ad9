import assert from 'node:assert/strict';
import test from 'node:test';
import type { DeadLetterBus, DeadLetterCause, LetterOutcome } from '../../../runtime/bus/port/dead-letters.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { HydrogenError } from '../../../runtime/errors.ts';
import { bury } from '../../../runtime/processor/burial.ts';

const cause: DeadLetterCause = { code: 'HYD_DESTINATION_REJECTED', detail: 'it answered 422' };
const message = { id: 'm', connectionId: 'c', endpoint: '/chat', callbackUrl: '', payload: Buffer.from('{}') };
const delivery = message as unknown as Delivery;

/** The one method of the bus that burying needs. */
function deadLettersOf(store: (payload: Uint8Array, cause: DeadLetterCause) => Promise<LetterOutcome>): DeadLetterBus {
  return {
    store: (_processor, { payload }, _attempts, why) => store(payload, why),
    of: () => assert.fail('burying reads no letters'),
  };
}

test('says whether the letter is stored', async () => {
  for (const outcome of ['stored', 'refused'] as const) {
    assert.equal(
      await bury(
        deadLettersOf(async () => outcome),
        'p',
        delivery,
        3,
        cause,
      ),
      outcome,
    );
  }
});

test('keeps the reason without the body when the bus accepts no letter of that size', async () => {
  const stored: { bytes: number; detail: string }[] = [];
  const deadLetters = deadLettersOf(async (payload, { detail }) => {
    if (payload.byteLength > 0) throw new HydrogenError('HYD_MESSAGE_TOO_LARGE');
    stored.push({ bytes: payload.byteLength, detail });
    return 'stored';
  });
  assert.equal(await bury(deadLetters, 'p', delivery, 3, cause), 'stored');
  assert.deepEqual(stored, [{ bytes: 0, detail: 'it answered 422 (the body of 2 bytes is too large to be kept)' }]);
});

test('leaves the message to another process when the bus stops, and does not hide a bug', async () => {
  const stopped = deadLettersOf(async () => {
    throw new HydrogenError('HYD_BUS_STOPPED');
  });
  assert.equal(await bury(stopped, 'p', delivery, 3, cause), 'stopped');
  const broken = deadLettersOf(async () => {
    throw new TypeError('a bug');
  });
  await assert.rejects(bury(broken, 'p', delivery, 3, cause), TypeError);
});
