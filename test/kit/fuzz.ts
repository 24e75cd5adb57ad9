/** Inputs for decoders that a seed decides: random bytes, and samples of the real thing with a few bytes changed. */

import { createRandom, type Random } from '../fault/soak/random.ts';

/** `FUZZ_SEED` repeats a run; the seed is in the message of what failed. */
export const fuzzSeed = Number(process.env.FUZZ_SEED ?? 1);
/** `FUZZ_ROUNDS` makes a longer run. */
const rounds = Number(process.env.FUZZ_ROUNDS ?? 20_000);

/**
 * Calls `check` with one input after another.
 * @param share of the rounds, for decoders that take long
 * @throws what it throws, with the seed, the round and the input
 */
export function fuzz(samples: readonly Uint8Array[], check: (input: Buffer) => void, share = 1): void {
  for (const [round, input] of fuzzInputs(samples, share)) {
    try {
      check(input);
    } catch (cause) {
      throw failureOf(round, input, cause);
    }
  }
}

/** As `fuzz`, one input after another. */
export async function fuzzAsync(
  samples: readonly Uint8Array[],
  check: (input: Buffer) => Promise<void>,
  share = 1,
): Promise<void> {
  for (const [round, input] of fuzzInputs(samples, share)) {
    await check(input).catch((cause) => {
      throw failureOf(round, input, cause);
    });
  }
}

function* fuzzInputs(samples: readonly Uint8Array[], share: number): Generator<[round: number, input: Buffer]> {
  const random = createRandom(fuzzSeed);
  for (let round = 0; round < rounds * share; round++) {
    yield [round, round % 4 === 0 ? noise(random) : mutated(Buffer.from(random.pick(samples)), random)];
  }
}

function failureOf(round: number, input: Buffer, cause: unknown): Error {
  return new Error(`FUZZ_SEED=${fuzzSeed}, round ${round}: ${input.toString('hex')}`, { cause });
}

function noise(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.between(0, 64) }, () => random.between(0, 255)));
}

function mutated(sample: Buffer, random: Random): Buffer {
  let bytes = sample;
  for (let changes = random.between(0, 4); changes > 0; changes--) bytes = mutate(bytes, random);
  return bytes;
}

function mutate(bytes: Buffer, random: Random): Buffer {
  const at = random.between(0, Math.max(0, bytes.length - 1));
  const byte = Buffer.from([random.pick([0, 1, 0x0a, 0x0d, 0x22, 0x5b, 0x7b, 0x7f, 0x80, 0xc3, 0xed, 0xff, at & 255])]);
  switch (random.between(0, 4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), byte, bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), byte, bytes.subarray(at)]);
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 8))]);
    default:
      return Buffer.concat([bytes, bytes.subarray(at)]);
  }
}
