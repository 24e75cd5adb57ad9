import assert from 'node:assert/strict';
import test from 'node:test';
import type { DeadLetterBus, DeadLetterCause } from '../../../runtime/bus/port/dead-letters.ts';
import type { Delivery } from '../../../runtime/bus/port/messages.ts';
import { HydrogenError } from '../../../runtime/errors.ts';
import { Burials } from '../../../runtime/processor/burial.ts';

const cause: DeadLetterCause = { code: 'HYD_DESTINATION_REJECTED', detail: 'it answered 422' };
const message = { connectionId: 'c', endpoint: '/chat', callbackUrl: '', attempt: 3, payload: Buffer.from('{}') };
const delivery = (id: string): Delivery => ({ ...message, id }) as unknown as Delivery;

/** The one method of the bus that burying needs. */
function deadLettersOf(store: (payload: Uint8Array, cause: DeadLetterCause) => Promise<void>): DeadLetterBus {
  return {
    store: (_processor, { payload }, _attempts, why) => store(payload, why),
    of: () => assert.fail('burying reads no letters'),
  };
}

test('hands back a message whose letter is not stored, and stores one letter for all its deliveries', async () => {
  let store = (): void => {};
  let letters = 0;
  const deadLetters = deadLettersOf(() => {
    letters += 1;
    return new Promise<void>((resolve) => {
      store = resolve;
    });
  });
  const burials = new Burials(deadLetters, 20);
  assert.equal(burials.causeOf('m'), undefined);
  assert.equal(await burials.bury('p', delivery('m'), cause), 'refused');
  assert.deepEqual(burials.causeOf('m'), cause);
  assert.equal(await burials.bury('p', delivery('m'), cause), 'refused');
  const last = burials.bury('p', delivery('m'), cause);
  store();
  assert.equal(await last, 'stored');
  assert.deepEqual([letters, burials.causeOf('m')], [1, undefined]);
});

test('keeps the reason without the body when the bus accepts no letter of that size', async () => {
  const stored: { bytes: number; detail: string }[] = [];
  const deadLetters = deadLettersOf(async (payload, { detail }) => {
    if (payload.byteLength > 0) throw new HydrogenError('HYD_MESSAGE_TOO_LARGE');
    stored.push({ bytes: payload.byteLength, detail });
  });
  assert.equal(await new Burials(deadLetters, 1_000).bury('p', delivery('m'), cause), 'stored');
  assert.deepEqual(stored, [{ bytes: 0, detail: 'it answered 422 (the body of 2 bytes is too large to be kept)' }]);
});

test('leaves the message to another process when the bus stops, and does not hide a bug', async () => {
  const stopped = deadLettersOf(async () => {
    throw new HydrogenError('HYD_BUS_STOPPED');
  });
  assert.equal(await new Burials(stopped, 1_000).bury('p', delivery('m'), cause), 'stopped');
  const broken = deadLettersOf(async () => {
    throw new TypeError('a bug');
  });
  await assert.rejects(new Burials(broken, 1_000).bury('p', delivery('m'), cause), TypeError);
});
