/** `hydrogen connections`: lists, shows and closes the connections of a whole group, through the management API of one gateway. */

import { Command, Option } from 'commander';
import { env } from '../../crds/contract.ts';
import { addClusterFlags, httpUrl, namespaceName, wholeNumber } from '../flags.ts';
import { formats, print } from '../output.ts';
import type { ConnectionListOptions, DisconnectOptions, Filters, Printed, ShowOptions } from './work.ts';

export function connectionCommands(): Command {
  const connections = new Command('connections')
    .description('list, show or close the connections of a group, on all of its gateways')
    .exitOverride();

  addFilters(add(connections, 'list', 'list connections in the order of their ids'))
    .addOption(new Option('--limit <count>', 'maximum number to list').default(100).argParser(wholeNumber(1)))
    .option('--cursor <cursor>', 'start where the list before ended')
    .addOption(outputOption())
    .action(async (options: ConnectionListOptions) =>
      finish(await (await import('./work.ts')).listConnections(options)),
    );

  add(connections, 'show', 'show one connection')
    .argument('<id>', 'its id')
    .addOption(outputOption())
    .action(async (id: string, options: ShowOptions) =>
      finish(await (await import('./work.ts')).showConnection(id, options)),
    );

  addFilters(add(connections, 'disconnect', 'close connections: those named, or all that fit the filters'))
    .argument('[id...]', 'their ids')
    .option('--code <code>', 'close code: 1000 or 3000 to 4999 (default: 1008)', wholeNumber(1000, 4999))
    .option('--reason <text>', 'close reason, at most 123 bytes', '')
    .option('--dry-run', 'print what would be closed, and close nothing')
    .action(async (ids: string[], options: DisconnectOptions, command: Command) => {
      const isFiltered = hasFilter(options);
      if (isFiltered === ids.length > 0) {
        command.error('error: name connections by their ids, or choose them with --endpoint, --user and --channel');
      }
      finish(await (await import('./work.ts')).disconnect(ids, options));
    });
  return connections;
}

/** Prints the result; what is incomplete is a failure, so that no script takes it for everything. */
function finish({ text, notes, isComplete }: Printed): void {
  print(text);
  for (const note of notes) console.error(note);
  if (!isComplete) process.exitCode = 1;
}

function hasFilter({ endpoint, user, channel }: Filters): boolean {
  return endpoint !== undefined || user !== undefined || channel !== undefined;
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'print it for a program').choices(formats);
}

function addFilters(command: Command): Command {
  return command
    .option('--endpoint <path>', 'only those of this endpoint')
    .option('--user <name>', 'only those of this user')
    .option('--channel <name>', 'only the members of this channel');
}

/** A command with the flags that choose a gateway. */
function add(parent: Command, name: string, description: string): Command {
  return addClusterFlags(parent.command(name).exitOverride().description(description))
    .option('-n, --namespace <namespace>', 'namespace (default: that of the context, else default)', namespaceName)
    .option('--gateway <name>', 'a HydrogenGateway of the group (default: the only group of the namespace)')
    .addOption(
      new Option('--url <url>', 'management API, such as http://127.0.0.1:8081 (default: of a pod of the cluster)')
        .argParser(httpUrl)
        .conflicts(['kubeconfig', 'context', 'namespace', 'gateway']),
    )
    .addOption(
      new Option(
        '--token-file <file>',
        'file with the bearer token; - is standard input (default: of the cluster)',
      ).env(env.tokenFile),
    )
    .option('--ca-file <file>', 'PEM of the authorities to trust for an https URL (default: those of Node)');
}
