/** `hydrogen dlq`: lists, shows, replays and removes the dead letters of a message processor. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { env, paths } from '../crds/contract.ts';
import { within } from '../process/timing.ts';
import type { DeadLetter, DeadLetters } from '../runtime/bus/port/dead-letters.ts';
import { HydrogenError } from '../runtime/errors.ts';

interface DlqOptions {
  readonly config: string;
  readonly nats?: string;
  readonly secrets: string;
}

const connectTimeoutMs = 10_000;
const pageSize = 100;

export function deadLetterCommands(): Command {
  const dlq = new Command('dlq')
    .description('list, show, replay or remove the dead letters of a message processor')
    .exitOverride();

  add(dlq, 'list', 'list dead letters, oldest first')
    .addOption(new Option('--limit <count>', 'maximum number to list').default(pageSize).argParser(count))
    .addOption(new Option('--after <sequence>', 'start after this sequence').default(0).argParser(count))
    .option('--json', 'print one JSON object per line')
    .action((options: DlqOptions & { limit: number; after: number; json?: boolean }) =>
      withDeadLetters(options, async (letters) => {
        const found = await letters.list(options.limit, options.after);
        if (options.json === true) for (const letter of found) console.log(JSON.stringify(summary(letter)));
        else console.log(found.length === 0 ? 'no dead letters' : table(found));
      }),
    );

  add(dlq, 'show', 'show one dead letter with its body')
    .argument('<sequence>', 'its sequence number in the list', count)
    .action((sequence: number, options: DlqOptions) =>
      withDeadLetters(options, async (letters) => {
        const letter = (await letters.get(sequence)) ?? missing(sequence);
        console.log(JSON.stringify({ ...summary(letter), body: bodyOf(letter) }, undefined, 2));
      }),
    );

  add(dlq, 'replay', 'deliver dead letters once more, to this processor alone, and remove them')
    .argument('[sequence...]', 'their sequence numbers in the list', counts)
    .option('--all', 'every dead letter')
    .action((sequences: number[] | undefined, options: DlqOptions & { all?: boolean }) =>
      withDeadLetters(options, async (letters) => {
        const chosen = await choose(letters, sequences, options.all);
        for (const sequence of chosen) if (!(await letters.replay(sequence))) missing(sequence);
        console.log(`replayed ${chosen.length}`);
      }),
    );

  add(dlq, 'purge', 'remove dead letters for good')
    .argument('[sequence...]', 'their sequence numbers in the list', counts)
    .option('--all', 'every dead letter')
    .action((sequences: number[] | undefined, options: DlqOptions & { all?: boolean }) =>
      withDeadLetters(options, async (letters) => {
        if (options.all === true && (sequences ?? []).length === 0) {
          console.log(`removed ${await letters.purge()}`);
          return;
        }
        const chosen = await choose(letters, sequences, options.all);
        for (const sequence of chosen) if (!(await letters.remove(sequence))) missing(sequence);
        console.log(`removed ${chosen.length}`);
      }),
    );
  return dlq;
}

function add(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .exitOverride()
    .description(description)
    .addOption(
      new Option('--config <file>', 'YAML with the HydrogenGroup and the HydrogenMessageProcessor').default(
        paths.config,
      ),
    )
    .option('--nats <url>', "NATS server to use instead of the group's")
    .addOption(
      new Option('--secrets <dir>', 'referenced secrets: <dir>/<secret name>/<key>')
        .env(env.secretsDir)
        .default(paths.secrets),
    );
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID, HYD_BUS_UNREACHABLE */
async function withDeadLetters(options: DlqOptions, work: (letters: DeadLetters) => Promise<void>): Promise<void> {
  const { createGroupBus } = await import('./bus.ts');
  const { loadProcessor } = await import('../runtime/role/documents.ts');
  const { createLogger } = await import('../process/logger.ts');
  const { MountedSecrets } = await import('../runtime/role/secrets.ts');
  const { group, processor } = await loadProcessor(options.config);
  const logger = createLogger({ level: 'error', destination: process.stderr });
  const secrets = new MountedSecrets(options.secrets, () => {});
  const name = `dlq ${processor.metadata.name}`;
  const servers = options.nats === undefined ? {} : { servers: [options.nats] };
  const bus = createGroupBus(group, { secrets, logger, name, ...servers });
  const connected = new Promise<true>((resolve) => {
    bus.onStatus((status) => {
      if (status === 'up') resolve(true);
    });
  });
  await bus.start();
  try {
    if ((await within(connectTimeoutMs, connected)) === undefined) {
      const tried = options.nats ?? group.spec.nats.servers?.join(', ') ?? '';
      throw new HydrogenError('HYD_BUS_UNREACHABLE', `no NATS server at ${tried} within ${connectTimeoutMs / 1000} s`);
    }
    await work(bus.deadLetters.of(processor.metadata.name));
  } finally {
    await bus.stop();
  }
}

async function choose(letters: DeadLetters, sequences: number[] = [], all = false): Promise<number[]> {
  if (all === sequences.length > 0) {
    throw new HydrogenError('HYD_CONFIG_INVALID', 'name sequence numbers or use --all, but not both');
  }
  if (!all) return sequences;
  const chosen: number[] = [];
  for (let page = await letters.list(pageSize); page.length > 0; page = await letters.list(pageSize, chosen.at(-1))) {
    chosen.push(...page.map(({ sequence }) => sequence));
  }
  return chosen;
}

function missing(sequence: number): never {
  throw new HydrogenError('HYD_DEAD_LETTER_MISSING', String(sequence));
}

function summary(letter: DeadLetter): object {
  const { sequence, id, connectionId, endpoint, attempts, code, status, rule, detail, diedAtMs } = letter;
  const diedAt = new Date(diedAtMs).toISOString();
  return { sequence, diedAt, messageId: id, connectionId, endpoint, attempts, code, status, rule, detail };
}

function bodyOf({ payload }: DeadLetter): unknown {
  const text = Buffer.from(payload).toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function table(letters: readonly DeadLetter[]): string {
  const rows = letters.map(({ sequence, diedAtMs, endpoint, rule, attempts, code, detail }) => [
    String(sequence),
    new Date(diedAtMs).toISOString(),
    endpoint,
    rule ?? '-',
    String(attempts),
    code,
    detail,
  ]);
  const header = ['SEQUENCE', 'DIED AT', 'ENDPOINT', 'RULE', 'ATTEMPTS', 'CODE', 'DETAIL'];
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [header, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number');
  return value;
}

function counts(text: string, before: number[] = []): number[] {
  return [...before, count(text)];
}
