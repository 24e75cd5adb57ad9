/** `hydrogen gateway` and `hydrogen mproc`: one role of a pod, from its configuration file, until a signal stops it. */

import type { Logger } from 'pino';
import { env } from '../crds/contract.ts';
import { createLogger, type LogLevel } from '../process/logger.ts';
import { untilStopped } from '../process/signals.ts';
import { Gateway } from '../runtime/gateway/gateway.ts';
import { MessageProcessor } from '../runtime/processor/processor.ts';
import { loadGateway, loadProcessor } from '../runtime/role/documents.ts';
import { createRoleLog } from '../runtime/role/log.ts';
import { MountedSecrets } from '../runtime/role/secrets.ts';
import { watchFiles } from '../runtime/role/watch-files.ts';
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
  const config = await loadGateway(file);
  const { logger, secrets } = createBasics(options);
  const name = config.gateway.metadata.name;
  const bus = createGroupBus(config.group, { secrets, logger, name: `gateway ${name}` });
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
  await serve(options, logger, loadGateway, gateway);
}

/** @throws {HydrogenError} HYD_CONFIG_INVALID before anything listens */
export async function runProcessor(options: ServeOptions & { readonly probePort: number }): Promise<void> {
  const { config: file, host, version, probePort } = options;
  const config = await loadProcessor(file);
  const { logger, secrets } = createBasics(options);
  const name = config.processor.metadata.name;
  const bus = createGroupBus(config.group, { secrets, logger, name: `mproc ${name}` });
  const processor = new MessageProcessor(config, { bus, secrets, logger, host, version, probePort });
  await serve(options, logger, loadProcessor, processor);
}

interface Server<Config> {
  start(): Promise<void>;
  reconfigure(config: Config): void;
  stop(signal?: string): Promise<void>;
}

async function serve<Config>(
  { config: file }: ServeOptions,
  logger: Logger,
  load: (file: string) => Promise<Config>,
  server: Server<Config>,
): Promise<void> {
  const stopped = untilStopped();
  try {
    await server.start();
  } catch (error) {
    await server.stop('failed start');
    throw error;
  }
  const unwatch = watchFiles(
    [file],
    () => load(file),
    (config) => server.reconfigure(config),
    (problems) => createRoleLog(logger, {}).configRefused({ problems }),
  );
  const signal = await stopped;
  unwatch();
  await server.stop(signal);
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
