/**
 * The `hydrogen` command; what a command needs is loaded when it is the one that runs. Exit codes: 0 done, 1 failed,
 * 2 misused (an unknown option, a configuration that is invalid).
 */

import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { env, paths, ports } from '../crds/contract.ts';
import { parseRolloutLimit, type RolloutLimit } from '../operator/children/rollouts.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { deadLetterCommands } from './dlq.ts';

/** Version of this package. */
export const version: string = JSON.parse(
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
    console.error(`hydrogen: ${code === undefined ? (error as Error).stack : message}${advice}`);
    return 1;
  }
}

function createProgram(): Command {
  const program = new Command('hydrogen')
    .description('A Kubernetes-native API gateway for WebSocket connections that turns messages into HTTP requests')
    .version(version)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(hydrogen --help lists what there is)');

  program
    .command('dev')
    .description(
      'run the gateways and message processors of some documents in this process; without -f: an echo example',
    )
    .option('-f, --file <file...>', 'YAML documents of HydrogenGroup, HydrogenGateway, HydrogenMessageProcessor')
    .option('--nats <url>', 'use this NATS server with JetStream instead of the memory bus')
    .addOption(
      new Option('--port-base <port>', 'gateway n listens on port+100n (clients), +1 (management), +1010 (probes)')
        .default(ports.client)
        .argParser(portBase),
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addOption(secretsOption('./secrets'))
    .addOption(logLevelOption('debug'))
    .action(async (options) => (await import('./dev.ts')).dev({ ...options, version }));

  program
    .command('gateway')
    .description('run one gateway')
    .addOption(configOption())
    .addOption(
      new Option('--port-base <port>', 'clients; management is one above, probes 1010 above')
        .default(ports.client)
        .argParser(portBase),
    )
    .option('--host <address>', 'address to listen on (default: every one)')
    .addOption(secretsOption(paths.secrets))
    .addOption(logLevelOption())
    .action(async (options) => (await import('./serve.ts')).runGateway({ ...options, version }));

  program
    .command('mproc')
    .description('run one message processor')
    .addOption(configOption())
    .addOption(new Option('--probe-port <port>', 'probes and metrics').default(ports.probes).argParser(port))
    .option('--host <address>', 'address to listen on (default: every one)')
    .addOption(secretsOption(paths.secrets))
    .addOption(logLevelOption())
    .action(async (options) => (await import('./serve.ts')).runProcessor({ ...options, version }));

  program
    .command('operator')
    .description('look after the custom resources of a cluster: that of a kubeconfig, else that of the pod')
    .option('--namespace <namespace>', 'the one namespace to look after (default: every one)')
    .option('--kubeconfig <file>', 'the cluster to talk to (default: KUBECONFIG, else that of the pod)')
    .addOption(
      new Option(
        '--service-account <dir>',
        'where a pod has its token and ca.crt, if not in the usual place',
      ).conflicts('kubeconfig'),
    )
    .option('--image <image>', 'image of pods whose document names none (default: that of this release)')
    .addOption(
      new Option('--max-concurrent-rollouts <limit>', 'workloads that get the image of a new release at once')
        .default(parseRolloutLimit('10%'), '10%')
        .argParser(rolloutLimit),
    )
    .option('--no-leader-elect', 'act without a lease: only where no other operator runs')
    .option('--lease-namespace <namespace>', 'namespace of the lease (default: POD_NAMESPACE, else hydrogen-system)')
    .addOption(new Option('--probe-port <port>', 'probes and metrics').default(ports.probes).argParser(port))
    .option('--host <address>', 'address to listen on (default: every one)')
    .addOption(logLevelOption())
    .action(async (options) => (await import('./operator.ts')).runOperator({ ...options, version }));

  program
    .command('describe')
    .description('print how a group, its gateways and its message processors stand, as a tree')
    .argument('<group/name>', 'what to describe')
    .option('-n, --namespace <namespace>', 'namespace of the group', 'default')
    .option('--kubeconfig <file>', 'the cluster to talk to (default: KUBECONFIG, else that of the pod)')
    .action(async (target, options) => print(await (await import('./describe.ts')).describe(target, options)));

  program
    .command('manifests')
    .description('print the CustomResourceDefinitions and the operator, for kubectl apply --server-side -f -')
    .option('--namespace <namespace>', 'namespace of the operator (default: hydrogen-system)')
    .option('--image <image>', 'image of the operator (default: that of this release)')
    .option('--watch-namespace <namespace>', 'the one namespace that the operator looks after (default: every one)')
    .option('--no-read-secrets', 'without the right to secrets: what documents name is not checked')
    .option('--crds-only', 'the CustomResourceDefinitions alone')
    .action(async (options) => print((await import('./manifests.ts')).manifests(options)));

  program
    .command('render')
    .description('print the Kubernetes objects that run some documents; needs no cluster and no operator')
    .requiredOption('-f, --file <file...>', 'YAML documents of hydrogen; - is standard input')
    .option('--image <image>', 'image of pods whose document names none (default: that of this release)')
    .action(async (options) => print(await (await import('./render.ts')).render(options)));

  program
    .command('echo')
    .description('run a destination that answers every message with itself, to try things with')
    .addOption(new Option('--port <port>', 'port to listen on').default(8099).argParser(port))
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .action(async ({ port, host }) => {
      const { echo } = await import('./echo.ts');
      const server = await echo(port, host);
      console.log(`echo destination on ${server.url}`);
      await server.closed;
    });

  program.addCommand(deadLetterCommands());
  for (const command of program.commands) command.exitOverride();
  return program;
}

/** Writes all of it; a reader who has seen enough, such as `head`, is no failure. */
function print(text: string): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.stdout.write(text);
}

function configOption(): Option {
  return new Option('--config <file>', 'YAML with its HydrogenGroup and itself').default(paths.config);
}

function secretsOption(fallback: string): Option {
  return new Option('--secrets <dir>', 'referenced secrets: <dir>/<secret name>/<key>')
    .env(env.secretsDir)
    .default(fallback);
}

function logLevelOption(fallback = 'info'): Option {
  return new Option('--log-level <level>', 'least severe level to log')
    .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
    .env(env.logLevel)
    .default(fallback);
}

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 65535) throw new InvalidArgumentError('a port is 1 to 65535');
  return value;
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
