/** `hydrogen describe` and `hydrogen status`: the custom resources of a cluster, for a person or a program. */
import { type Command, Option } from 'commander';

import { addClusterFlags, namespaceName } from './flags.ts';
import { formats, print } from './output.ts';

export function addClusterCommands(program: Command): void {
  addCommand(program, 'describe', 'print the status of a group, its gateways and its message processors as a tree')
    .argument('<group/name>', 'what to describe')
    .action(async (target, options) => print(await (await import('./describe.ts')).describe(target, options)));

  addCommand(program, 'status', 'print a line for each group: whether it, its gateways and its processors are ready')
    .addOption(new Option('-A, --all-namespaces', 'groups of every namespace').conflicts('namespace'))
    .action(async (options) => print(await (await import('./status.ts')).status(options)));
}

function addCommand(program: Command, name: string, description: string): Command {
  return addClusterFlags(program.command(name).description(description))
    .option('-n, --namespace <namespace>', 'namespace (default: that of the context, else default)', namespaceName)
    .addOption(new Option('-o, --output <format>', 'print it for a program').choices(formats));
}
