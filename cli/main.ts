/**
 * The `hydrogen` command. The code of a subcommand is loaded when it runs. Exit codes: 0 done, 1 failed, 2 misused (an
 * unknown option, an invalid configuration).
 */

import { readFileSync } from 'node:fs';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { env, paths, ports } from '../crds/contract.ts';
import { parseRolloutLimit, type RolloutLimit } from '../operator/children/rollouts.ts';
import { ApiError } from '../operator/kube/errors.ts';
import { logLevels } from '../process/logger.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { addClusterCommands } from './cluster-commands.ts';
import { completion, shells } from './completion.ts';
import { connectionCommands } from './connections/commands.ts';
import { deadLetterCommands } from './dlq.ts';
import { addClusterFlags, imageReference, namespaceName, natsUrl, port } from './flags.ts';
import { print } from './output.ts';

/** Version of this package. */
const version: string = JSON.parse(
  readFileSync(
    new URL(import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json', import.meta.url),
    'utf8',
  ),
).version;

/** @returns the exit code; resolves when the command is done, for servers after they have stopped. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync([...args], { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof HydrogenError) {
      console.error(`hydrogen: ${error.message}`);
      return error.code === 'HYD_CONFIG_INVALID' || error.code === 'HYD_SECRET_MISSING' ? 2 : 1;
    }
    const { code, message } = error as { code?: string; message?: string };
    const advice = code === 'EADDRINUSE' ? ' (choose other ports: see --help)' : '';
    // The stack is for mistakes of ours alone.
    const isExpected = code !== undefined || error instanceof ApiError;
    console.error(`hydrogen: ${isExpected ? message : (error as Error).stack}${advice}`);
    return 1;
  }
}

function createProgram(): Command {
  const program = new Command('hydrogen')
    .description('A Kubernetes-native API gateway for WebSocket connections that turns messages into HTTP requests')
    .version(version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(hydrogen --help lists the commands)');
  addDev(program);
  addRoles(program);
  addOperator(program);
  addClusterCommands(program);
  addManifests(program);
  addEcho(program);
  program.addCommand(deadLetterCommands());
  program.addCommand(connectionCommands());
  addCompletion(program);
  for (const command of program.commands) command.exitOverride();
  return program;
}

function addDev(program: Command): void {
  program
    .command('dev')
    .description(
      'run the gateways and message processors of some documents in this process; without -f: an echo example',
    )
    .option('-f, --file <file...>', 'YAML documents of HydrogenGroup, HydrogenGateway, HydrogenMessageProcessor')
    .option('--nats <url>', 'use this NATS server with JetStream instead of the memory bus', natsUrl)
    .addOption(
      new Option('--port-base <port>', 'gateway n listens on port+100n (clients), +1 (management), +1010 (probes)')
        .default(ports.client)
        .argParser(portBase),
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addOption(secretsOption('./secrets'))
    .addOption(logLevelOption('debug'))
    .action(async (options) => (await import('./dev.ts')).dev({ ...options, version }));
}

function addRoles(program: Command): void {
  program
    .command('gateway')
    .description('run one gateway')
    .addOption(configOption())
    .addOption(
      new Option('--port-base <port>', 'port for clients; management is one above, probes 1010 above')
        .default(ports.client)
        .argParser(portBase),
    )
    .option('--host <address>', 'address to listen on (default: every address)')
    .addOption(secretsOption(paths.secrets))
    .addOption(logLevelOption())
    .action(async (options) => (await import('./serve.ts')).runGateway({ ...options, version }));

  program
    .command('mproc')
    .description('run one message processor')
    .addOption(configOption())
    .addOption(probePortOption())
    .option('--host <address>', 'address to listen on (default: every address)')
    .addOption(secretsOption(paths.secrets))
    .addOption(logLevelOption())
    .action(async (options) => (await import('./serve.ts')).runProcessor({ ...options, version }));
}

function addOperator(program: Command): void {
  addClusterFlags(program.command('operator').description('reconcile the custom resources of a cluster'))
    .option('--namespace <namespace>', 'reconcile this namespace only (default: every namespace)', namespaceName)
    .addOption(
      new Option(
        '--service-account <dir>',
        'directory with the token and ca.crt of a pod, if it is not the usual one',
      ).conflicts(['kubeconfig', 'context']),
    )
    .option(
      '--image <image>',
      "image of pods whose document names none (default: that of the operator's own pod, else of this release)",
      imageReference,
    )
    .option(
      '--nats-image <image>',
      'image of managed NATS servers (default: the one that this release names)',
      imageReference,
    )
    .addOption(
      new Option('--max-concurrent-rollouts <limit>', 'workloads that get the image of a new release at once')
        .default(parseRolloutLimit('10%'), '10%')
        .argParser(rolloutLimit),
    )
    .option('--no-leader-elect', 'run without leader election: only if no other operator runs')
    .option(
      '--lease-namespace <namespace>',
      'namespace of the lease (default: POD_NAMESPACE, else hydrogen-system)',
      namespaceName,
    )
    .addOption(probePortOption())
    .option('--host <address>', 'address to listen on (default: every address)')
    .addOption(logLevelOption())
    .action(async (options) => (await import('./operator.ts')).runOperator({ ...options, version }));
}

function addManifests(program: Command): void {
  program
    .command('manifests')
    .description('print the CustomResourceDefinitions and the operator, for kubectl apply --server-side -f -')
    .option('--namespace <namespace>', 'namespace of the operator (default: hydrogen-system)', namespaceName)
    .option(
      '--image <image>',
      'image of the operator, and so of pods whose document names none (default: the image of this release)',
      imageReference,
    )
    .option(
      '--nats-image <image>',
      'image of managed NATS servers (default: the one that this release names)',
      imageReference,
    )
    .option(
      '--watch-namespace <namespace>',
      'let the operator reconcile this namespace only (default: every namespace)',
      namespaceName,
    )
    .option('--no-read-secrets', 'give the operator no access to secrets: it does not check those that documents name')
    .option(
      '--no-aggregate-roles',
      "add no rights on the custom resources to the cluster's roles view, edit and admin: bind hydrogen-view and hydrogen-edit",
    )
    .option('--crds-only', 'print the CustomResourceDefinitions and the roles of their users only')
    .action(async (options) => print((await import('./manifests.ts')).manifests(options)));

  program
    .command('render')
    .description('print the Kubernetes objects that run some documents; needs no cluster and no operator')
    .requiredOption(
      '-f, --file <file...>',
      'YAML documents of hydrogen, and objects of other APIs, which are passed on; - is standard input',
    )
    .option('-n, --namespace <namespace>', 'namespace of documents that name none (default: default)', namespaceName)
    .option(
      '--image <image>',
      'image of pods whose document names none (default: the image of this release)',
      imageReference,
    )
    .option(
      '--nats-image <image>',
      'image of managed NATS servers (default: the one that this release names)',
      imageReference,
    )
    .action(async (options) => print(await (await import('./render.ts')).renderFiles(options)));
}

function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands and flags in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action(async (shell) => print(completion(program, shell)));
}

function addEcho(program: Command): void {
  program
    .command('echo')
    .description('run a destination that answers every message with itself, for trying things out')
    .addOption(new Option('--port <port>', 'port to listen on').default(8099).argParser(port))
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .action(async ({ port, host }) => {
      const { echo } = await import('./echo.ts');
      const server = await echo(port, host);
      console.log(`echo destination on ${server.url}`);
      await server.closed;
    });
}

function configOption(): Option {
  return new Option('--config <file>', 'YAML file with the HydrogenGroup and the resource to run').default(
    paths.config,
  );
}

function secretsOption(fallback: string): Option {
  return new Option('--secrets <dir>', 'directory of referenced secrets: <dir>/<secret name>/<key>')
    .env(env.secretsDir)
    .default(fallback);
}

function probePortOption(): Option {
  return new Option('--probe-port <port>', 'port for probes and metrics').default(ports.probes).argParser(port);
}

function logLevelOption(fallback = 'info'): Option {
  return new Option('--log-level <level>', 'least severe level to log')
    .choices(logLevels)
    .env(env.logLevel)
    .default(fallback);
}

function rolloutLimit(text: string): RolloutLimit {
  try {
    return parseRolloutLimit(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError(error.message);
  }
}

function portBase(text: string): number {
  const value = port(text);
  const last = 65535 - (ports.probes - ports.client);
  if (value > last)
    throw new InvalidArgumentError(`at most ${last}, since the probes listen ${ports.probes - ports.client} above it`);
  return value;
}
