/** `hydrogen describe`, `hydrogen status` and `hydrogen doctor`: what is in a cluster, and whether all that it needs is there. */
import { type Command, Option } from 'commander';

import { env } from '../crds/contract.ts';
import { addClusterFlags, namespaceName } from './flags.ts';
import { formats, print } from './output.ts';

export function addClusterCommands(program: Command): void {
  addCommand(program, 'describe', 'print the status of a group, its gateways and its message processors as a tree')
    .argument('<group/name>', 'what to describe')
    .action(async (target, options) => print(await (await import('./describe.ts')).describe(target, options)));

  addCommand(program, 'status', 'print a line for each group: whether it, its gateways and its processors are ready')
    .addOption(new Option('-A, --all-namespaces', 'groups of every namespace').conflicts('namespace'))
    .action(async (options) => print(await (await import('./status.ts')).status(options)));

  addCommand(
    program,
    'doctor',
    'examine NATS, secrets and services that documents need, and say what is wrong; without -f: of a namespace, or of the pod that it runs in',
  )
    .option('-f, --file <file...>', 'YAML documents of hydrogen; - is standard input')
    .addOption(
      new Option(
        '--secrets <dir>',
        'directory of secrets, <dir>/<secret name>/<key> (default: those of the cluster)',
      ).env(env.secretsDir),
    )
    .action(async (options) => {
      const { text, exitCode } = await (await import('./doctor/doctor.ts')).doctor(options);
      print(text);
      process.exitCode = exitCode;
    });
}

function addCommand(program: Command, name: string, description: string): Command {
  return addClusterFlags(program.command(name).description(description))
    .option('-n, --namespace <namespace>', 'namespace (default: that of the context, else default)', namespaceName)
    .addOption(new Option('-o, --output <format>', 'print it for a program').choices(formats));
}
