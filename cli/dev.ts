/**
 * `hydrogen dev`: the gateways and message processors of some documents in one process, on the memory bus unless a
 * NATS server is named, with the configuration taken over as the files change.
 */

import type { Logger } from 'pino';
import pretty from 'pino-pretty';
import { busGroup, env } from '../crds/contract.ts';
import { untilStopped } from '../process/signals.ts';
import { createMemoryBroker, type MemoryBroker } from '../runtime/bus/memory/memory.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { createGateway, type Gateway } from '../runtime/gateway/gateway.ts';
import { createMproc, type Mproc } from '../runtime/processor/processor.ts';
import {
  type Documents,
  type GatewayConfig,
  loadDocuments,
  type ProcessorConfig,
  readDocuments,
  watchFiles,
} from '../runtime/role/live-config.ts';
import { createLog, createLogger, type LogLevel } from '../runtime/role/log.ts';
import { createSecrets, type Secrets } from '../runtime/role/secrets.ts';
import { createGroupBus } from './bus.ts';
import { describeRun, echoDocuments } from './dev-banner.ts';
import { type EchoServer, echo } from './echo.ts';
import { gatewayPorts } from './ports.ts';

export interface DevOptions {
  readonly file?: readonly string[];
  readonly nats?: string;
  readonly portBase: number;
  readonly host: string;
  readonly secrets: string;
  readonly logLevel: LogLevel;
  readonly version: string;
}

/** From the port base: 8099 by default, as examples/echo.yaml says. */
const echoPortOffset = 19;
const maxDrainMs = 1_000;

/** Runs until SIGTERM or SIGINT. @throws {HydrogenError} HYD_CONFIG_INVALID */
export async function dev(options: DevOptions): Promise<void> {
  const logger = createLogger({
    level: options.logLevel,
    destination: pretty({
      colorize: process.stdout.isTTY,
      ignore: 'instanceId,group',
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
      sync: true,
    }),
  });
  const secrets = createSecrets(options.secrets, ({ name: secret, key }, err) =>
    log.secretUnreadable({ secret, key, err }),
  );
  const log = createLog(logger, {});
  const isExample = options.file === undefined;
  const echoPort = options.portBase + echoPortOffset;
  const load = async (): Promise<Documents> =>
    options.file === undefined
      ? readDocuments([{ text: await echoDocuments(echoPort), source: 'examples/echo.yaml' }])
      : loadDocuments(options.file);
  const documents = await load();
  if (documents.gateways.length + documents.processors.length === 0) {
    throw new HydrogenError(
      'HYD_CONFIG_INVALID',
      'the documents hold neither a HydrogenGateway nor a HydrogenMessageProcessor',
    );
  }

  let echoServer: EchoServer | undefined;
  if (isExample) echoServer = await echo(echoPort, options.host);
  const buses = createBuses(options, secrets, logger);
  const gateways = new Map<string, Gateway>();
  for (const [index, config] of documents.gateways.entries()) {
    const listening = gatewayPorts(options.portBase, index);
    const callbackUrl = process.env[env.callbackUrl] ?? `http://${reachable(options.host)}:${listening.management}`;
    const { host, version } = options;
    const bus = buses(config);
    gateways.set(
      keyOf(config.gateway),
      createGateway(config, { bus, secrets, logger, ports: listening, host, callbackUrl, version }),
    );
  }
  const processors = new Map<string, Mproc>();
  for (const config of documents.processors) {
    const { host, version } = options;
    const bus = buses(config);
    processors.set(keyOf(config.processor), createMproc(config, { bus, secrets, logger, host, version }));
  }
  const stopped = untilStopped();
  const servers = [...processors.values(), ...gateways.values()];
  try {
    for (const server of servers) await server.start();
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop('failed start', 0)));
    echoServer?.stop();
    throw error;
  }
  const isReady = await untilReady(servers, stopped);

  if (isReady) console.log(describeRun(documents, options, echoServer?.url));
  const unwatch = options.file === undefined || !isReady ? undefined : watchFiles(options.file, load, takeOver, refuse);

  function takeOver(next: Documents): void {
    for (const config of next.gateways) gateways.get(keyOf(config.gateway))?.reconfigure(config);
    for (const config of next.processors) processors.get(keyOf(config.processor))?.reconfigure(config);
    const keys = [
      ...next.gateways.map(({ gateway }) => keyOf(gateway)),
      ...next.processors.map(({ processor }) => keyOf(processor)),
    ];
    const isSame =
      keys.length === gateways.size + processors.size && keys.every((key) => gateways.has(key) || processors.has(key));
    if (!isSame) log.configNeedsRestart({ fields: ['the set of gateways and processors'] });
  }
  function refuse(problems: readonly string[]): void {
    log.configRefused({ problems });
  }

  const signal = await stopped;
  unwatch?.();
  await Promise.all([...gateways.values()].map((gateway) => gateway.stop(signal, maxDrainMs)));
  await Promise.all([...processors.values()].map((processor) => processor.stop(signal, maxDrainMs)));
  echoServer?.stop();
}

function keyOf(resource: {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
}): string {
  return `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
}

/** A bus for each gateway and processor; those of one group share its messages. */
function createBuses(
  options: DevOptions,
  secrets: Secrets,
  logger: Logger,
): (config: GatewayConfig | ProcessorConfig) => Bus {
  const brokers = new Map<string, MemoryBroker>();
  return ({ group }) => {
    if (options.nats !== undefined)
      return createGroupBus(group, { servers: [options.nats], secrets, logger, name: 'dev' });
    const name = busGroup(group.metadata.namespace, group.metadata.name);
    const broker = brokers.get(name) ?? createMemoryBroker({ leaseMs: group.spec.instanceLeaseSeconds * 1000 });
    brokers.set(name, broker);
    return broker.connect();
  };
}

/** The address by which this machine reaches what listens on `host`. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}

/** Resolves with true when everything can serve, with false when it was stopped before; says what it waits for. */
async function untilReady(servers: readonly (Gateway | Mproc)[], stopped: Promise<string>): Promise<boolean> {
  let isStopped = false;
  void stopped.then(() => {
    isStopped = true;
  });
  let saidAtMs = Date.now();
  while (!isStopped) {
    const reason = servers.map((server) => server.notReadyReason()).find((text) => text !== undefined);
    if (reason === undefined) return true;
    if (Date.now() - saidAtMs > 2_000) {
      saidAtMs = Date.now();
      console.log(`waiting: ${reason}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}
