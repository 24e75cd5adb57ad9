/** `hydrogen dlq`: lists, shows, replays and removes the dead letters of a message processor. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { env, paths } from '../crds/contract.ts';
import { within } from '../process/timing.ts';
import type { DeadLetters } from '../runtime/bus/port/dead-letters.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { letterBody, letterSummary, letterTable, printableJson } from './dlq-output.ts';
import {
  addFilters,
  type Choice,
  choiceOf,
  chosenLetters,
  type FilterOptions,
  filterOf,
  type LetterFacts,
  letterMissing,
  matchingLetters,
} from './dlq-selection.ts';
import { natsUrl } from './flags.ts';
import { whileWaiting } from './output.ts';

interface DlqOptions {
  readonly config: string;
  readonly nats?: string;
  readonly credentials?: string;
  readonly secrets: string;
}

interface ListOptions extends DlqOptions, FilterOptions {
  readonly limit: number;
  readonly after: number;
  readonly json?: boolean;
}

interface ChangeOptions extends DlqOptions, FilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

const connectTimeoutMs = 10_000;

export function deadLetterCommands(): Command {
  const dlq = new Command('dlq')
    .description('list, show, replay or remove the dead letters of a message processor')
    .exitOverride();

  addFilters(add(dlq, 'list', 'list dead letters, oldest first'))
    .addOption(new Option('--limit <count>', 'maximum number to list').default(100).argParser(count))
    .addOption(new Option('--after <sequence>', 'start after this sequence').default(0).argParser(count))
    .option('--json', 'print one JSON object per line')
    .action((options: ListOptions, command: Command) => {
      const filter = filterOf(options, Date.now());
      if (typeof filter === 'string') misused(command, filter);
      return withDeadLetters(options, async (letters) => {
        const found = await matchingLetters(letters, filter, options.limit, options.after);
        if (options.json === true) for (const letter of found) console.log(printableJson(letterSummary(letter)));
        else console.log(found.length === 0 ? 'no dead letters' : letterTable(found));
        checkReadable(found);
      });
    });

  add(dlq, 'show', 'show one dead letter with its body')
    .argument('<sequence>', 'its sequence number in the list', count)
    .action((sequence: number, options: DlqOptions) =>
      withDeadLetters(options, async (letters) => {
        const letter = (await letters.get(sequence)) ?? letterMissing(sequence);
        console.log(printableJson({ ...letterSummary(letter), body: letterBody(letter) }, 2));
        checkReadable([letter]);
      }),
    );

  addChange(dlq, 'replay', 'deliver dead letters once more, to this processor alone, and remove them').action(
    (sequences: number[] | undefined, options: ChangeOptions, command: Command) => {
      const choice = chosen(command, sequences, options);
      // One after another in the order of their numbers, each stored before the next: connections keep their order.
      return changeLetters(choice, options, 'replay', (letters, sequence) => letters.replay(sequence));
    },
  );

  addChange(dlq, 'purge', 'remove dead letters for good').action(
    (sequences: number[] | undefined, options: ChangeOptions, command: Command) => {
      const choice = chosen(command, sequences, options);
      if (choice.kind !== 'all' || options.dryRun === true) {
        return changeLetters(choice, options, 'remove', (letters, sequence) => letters.remove(sequence));
      }
      return withDeadLetters(options, async (letters) => console.log(`removed ${await letters.purge()}`));
    },
  );
  return dlq;
}

/** A command that changes the letters that its arguments name. */
function addChange(parent: Command, name: string, description: string): Command {
  return addFilters(
    add(parent, name, description).argument('[sequence...]', 'their sequence numbers in the list', counts),
  )
    .option('--all', 'every dead letter')
    .option('--dry-run', 'print what would be done, and do nothing');
}

function chosen(command: Command, sequences: readonly number[] = [], options: ChangeOptions): Choice {
  const choice = choiceOf(sequences, options, Date.now());
  return typeof choice === 'string' ? misused(command, choice) : choice;
}

/**
 * Changes letters, oldest first. One that somebody else removed meanwhile is left out, unless it was asked for by its
 * number. @param change resolves with false when there is no such letter
 */
function changeLetters(
  choice: Choice,
  options: ChangeOptions,
  verb: 'replay' | 'remove',
  change: (letters: DeadLetters, sequence: number) => Promise<boolean>,
): Promise<void> {
  return withDeadLetters(options, async (letters) => {
    const found = await chosenLetters(letters, choice);
    // Whoever replays all of them does not mean those that no processor wrote.
    const isLeftOut = ({ isForeign }: LetterFacts): boolean =>
      isForeign === true && verb === 'replay' && choice.kind !== 'numbered';
    const wanted = found.filter((letter) => !isLeftOut(letter));
    if (options.dryRun === true) {
      if (wanted.length > 0) console.log(letterTable(wanted));
      console.log(`would ${verb} ${wanted.length}`);
      return;
    }
    const past = verb === 'replay' ? 'replayed' : 'removed';
    let done = 0;
    try {
      for (const { sequence } of wanted) {
        if (await change(letters, sequence)) done += 1;
        else if (choice.kind === 'numbered') letterMissing(sequence);
      }
    } catch (error) {
      console.log(`${past} ${done} of ${wanted.length}`);
      throw error;
    }
    console.log(`${past} ${done}`);
    checkReadable(found.filter(isLeftOut));
  });
}

/** @throws {HydrogenError} HYD_MESSAGE_UNREADABLE if no processor wrote some of them */
function checkReadable(letters: readonly LetterFacts[]): void {
  const foreign = letters.filter(({ isForeign }) => isForeign).map(({ sequence }) => sequence);
  if (foreign.length === 0) return;
  const detail = `no processor wrote ${foreign.slice(0, 8).join(', ')}${foreign.length > 8 ? ' and others' : ''}`;
  throw new HydrogenError('HYD_MESSAGE_UNREADABLE', `${detail}; hydrogen dlq purge removes them by number`);
}

/** Prints the sentence and ends the command as misused. */
function misused(command: Command, sentence: string): never {
  return command.error(`error: ${sentence}`);
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
    .option('--nats <url>', "NATS server to use instead of the group's", natsUrl)
    .option('--credentials <file>', 'NATS credentials file or NKey seed to log in with instead of what the group names')
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
  const { credentials: credentialsFile } = options;
  // In the pod of a processor, and with its secrets, this is another connection of that processor.
  const role = credentialsFile === undefined ? 'processor' : 'commandLine';
  const bus = createGroupBus(group, { secrets, logger, role, name, credentialsFile, ...servers });
  const connected = new Promise<true>((resolve) => {
    bus.onStatus((status) => {
      if (status === 'up') resolve(true);
    });
  });
  await bus.start();
  try {
    const tried = options.nats ?? group.spec.nats.servers?.join(', ') ?? '';
    if ((await whileWaiting(`NATS at ${tried}`, within(connectTimeoutMs, connected))) === undefined) {
      throw new HydrogenError('HYD_BUS_UNREACHABLE', `no NATS server at ${tried} within ${connectTimeoutMs / 1000} s`);
    }
    await work(bus.deadLetters.of(processor.metadata.name));
  } finally {
    await bus.stop();
  }
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('expected a whole number');
  return value;
}

function counts(text: string, before: number[] = []): number[] {
  return [...before, count(text)];
}
