/** `hydrogen gateway` and `hydrogen mproc`: one role of a pod, from its configuration file, until a signal stops it. */

import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { env } from '../crds/contract.ts';
import { collectGarbage } from '../process/garbage.ts';
import { createLogger, type LogLevel } from '../process/logger.ts';
import { untilStopped } from '../process/signals.ts';
import { Gateway } from '../runtime/gateway/gateway.ts';
import { MessageProcessor } from '../runtime/processor/processor.ts';
import { ConfigReport, type Reconfigured } from '../runtime/role/config-report.ts';
import { type ConfigSource, gatewayIn, processorIn, readSources } from '../runtime/role/documents.ts';
import { createRoleLog } from '../runtime/role/log.ts';
import { MountedSecrets } from '../runtime/role/secrets.ts';
import { digestOf, watchFiles } from '../runtime/role/watch-files.ts';
import { createGroupBus } from './bus.ts';
import { gatewayPorts } from './ports.ts';

export interface ServeOptions {
  readonly config: string;
  readonly host?: string;
  readonly secrets: string;
  readonly logLevel: LogLevel;
  readonly version: string;
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID before anything listens */
export async function runGateway(options: ServeOptions & { readonly portBase: number }): Promise<void> {
  const { config: file, host, version } = options;
  const sources = await readSources([file]);
  const config = gatewayIn(sources);
  const { logger, secrets } = createBasics(options);
  const { name } = config.gateway.metadata;
  const report = new ConfigReport({ kind: 'HydrogenGateway', name, pod: podName(), digest: digestOf(sources) });
  const bus = createGroupBus(config.group, { secrets, logger, role: 'gateway', name: `gateway ${name}`, report });
  const ports = gatewayPorts(options.portBase, 0);
  const gateway = new Gateway(config, {
    bus,
    secrets,
    logger,
    ports,
    host,
    version,
    callbackUrl: process.env[env.callbackUrl],
  });
  await serve({ options, logger, parse: gatewayIn, report }, gateway);
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID before anything listens */
export async function runProcessor(options: ServeOptions & { readonly probePort: number }): Promise<void> {
  const { config: file, host, version, probePort } = options;
  const sources = await readSources([file]);
  const config = processorIn(sources);
  const { logger, secrets } = createBasics(options);
  const { name } = config.processor.metadata;
  const report = new ConfigReport({
    kind: 'HydrogenMessageProcessor',
    name,
    pod: podName(),
    digest: digestOf(sources),
  });
  const bus = createGroupBus(config.group, { secrets, logger, role: 'processor', name: `mproc ${name}`, report });
  const processor = new MessageProcessor(config, { bus, secrets, logger, host, version, probePort });
  report.addBacklogs(() => processor.backlogs);
  await serve({ options, logger, parse: processorIn, report }, processor);
}

interface Server<Config> {
  start(): Promise<void>;
  reconfigure(config: Config): Reconfigured | Promise<Reconfigured>;
  stop(signal?: string): Promise<void>;
}

interface Serving<Config> {
  readonly options: ServeOptions;
  readonly logger: Logger;
  readonly parse: (sources: readonly ConfigSource[]) => Config;
  readonly report: ConfigReport;
}

async function serve<Config>(
  { options, logger, parse, report }: Serving<Config>,
  server: Server<Config>,
): Promise<void> {
  const stopped = untilStopped();
  try {
    await server.start();
  } catch (error) {
    await server.stop('failed start');
    throw error;
  }
  // What loading and starting has left; a process without work would keep it for hours.
  collectGarbage();
  const unwatch = watchFiles(
    [options.config],
    parse,
    (config, digest) => void report.note(digest, server.reconfigure(config)),
    (problems, digest) => {
      createRoleLog(logger, {}).configRefused({ problems });
      if (digest !== undefined) void report.note(digest, { kind: 'refused', problem: problems.join(' ') });
    },
  );
  const signal = await stopped;
  unwatch();
  report.leave();
  await server.stop(signal);
}

/** In a pod, both are its name. */
function podName(): string {
  return process.env.HOSTNAME ?? hostname();
}

function createBasics(options: ServeOptions): { logger: Logger; secrets: MountedSecrets } {
  const logger = createLogger({ level: options.logLevel });
  return {
    logger,
    secrets: new MountedSecrets(options.secrets, ({ name: secret, key }, err) =>
      createRoleLog(logger, {}).secretUnreadable({ secret, key, err }),
    ),
  };
}
