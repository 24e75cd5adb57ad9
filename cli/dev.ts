/**
 * `hydrogen dev`: the gateways and message processors of some documents in one process, on the memory bus unless a
 * NATS server is named. Changes of the files apply at once.
 */

import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import pretty from 'pino-pretty';
import { busGroup, env } from '../crds/contract.ts';
import { createLogger, escapeControls, type LogLevel } from '../process/logger.ts';
import { untilStopped } from '../process/signals.ts';
import { within } from '../process/timing.ts';
import { createMemoryBroker, type MemoryBroker } from '../runtime/bus/memory/memory.ts';
import type { Bus } from '../runtime/bus/port/bus.ts';
import { HydrogenError } from '../runtime/errors.ts';
import { Gateway } from '../runtime/gateway/gateway.ts';
import { MessageProcessor } from '../runtime/processor/processor.ts';
import {
  type Documents,
  type GatewayConfig,
  loadDocuments,
  type ProcessorConfig,
  readDocuments,
} from '../runtime/role/documents.ts';
import { createRoleLog, type RoleLog } from '../runtime/role/log.ts';
import { MountedSecrets } from '../runtime/role/secrets.ts';
import { watchFiles } from '../runtime/role/watch-files.ts';
import { createGroupBus } from './bus.ts';
import { describeRun, echoDocuments } from './dev-banner.ts';
import { type EchoServer, echo } from './echo.ts';
import { hasColours } from './output.ts';
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
/** Milliseconds between two lines that say what a start still waits for. */
const waitingMs = 2_000;

/** Runs until SIGTERM or SIGINT. @throws {HydrogenError} HYD_CONFIG_INVALID */
export async function dev(options: DevOptions): Promise<void> {
  const echoPort = options.portBase + echoPortOffset;
  const load = async (): Promise<Documents> =>
    options.file === undefined
      ? readDocuments([{ text: await echoDocuments(echoPort), source: 'examples/echo.yaml' }])
      : loadDocuments(options.file);
  const documents = await load();
  const roles = new Roles(documents, options);
  const echoServer = options.file === undefined ? await echo(echoPort, options.host) : undefined;
  const stopped = untilStopped();
  await roles.start(echoServer);
  const isReady = await roles.untilReady(stopped);
  if (isReady) console.log(describeRun(documents, options, echoServer?.url));
  const unwatch =
    options.file === undefined || !isReady
      ? undefined
      : watchFiles(
          options.file,
          readDocuments,
          (next) => roles.reconfigure(next),
          (problems) => roles.log.configRefused({ problems }),
        );
  const signal = await stopped;
  unwatch?.();
  await roles.stop(signal, maxDrainMs);
  echoServer?.stop();
}

/** The gateways and message processors of some documents. */
class Roles {
  readonly log: RoleLog;
  readonly #gateways = new Map<string, Gateway>();
  readonly #processors = new Map<string, MessageProcessor>();
  readonly #brokers = new Map<string, MemoryBroker>();
  readonly #options: DevOptions;
  readonly #logger: Logger;
  readonly #secrets: MountedSecrets;

  /** @throws {HydrogenError} HYD_CONFIG_INVALID */
  constructor({ gateways, processors }: Documents, options: DevOptions) {
    if (gateways.length + processors.length === 0) {
      const detail = 'the documents contain neither a HydrogenGateway nor a HydrogenMessageProcessor';
      throw new HydrogenError('HYD_CONFIG_INVALID', detail);
    }
    this.#options = options;
    this.#logger = createPrettyLogger(options.logLevel);
    this.log = createRoleLog(this.#logger, {});
    this.#secrets = new MountedSecrets(options.secrets, ({ name: secret, key }, err) =>
      this.log.secretUnreadable({ secret, key, err }),
    );
    for (const [index, config] of gateways.entries()) {
      this.#gateways.set(keyOf(config.gateway), this.#createGateway(config, index));
    }
    const { host, version } = options;
    const shared = { secrets: this.#secrets, logger: this.#logger, host, version };
    for (const config of processors) {
      const processor = new MessageProcessor(config, { bus: this.#createBus(config), ...shared });
      this.#processors.set(keyOf(config.processor), processor);
    }
  }

  /** @throws when a port is not available; everything is stopped then */
  async start(echoServer: EchoServer | undefined): Promise<void> {
    try {
      for (const role of this.#all) await role.start();
    } catch (error) {
      await this.stop('failed start', 0);
      echoServer?.stop();
      throw error;
    }
  }

  /** True when everything can serve, false when it was stopped before; prints what it waits for. */
  async untilReady(stopped: Promise<string>): Promise<boolean> {
    const ready = Promise.all(this.#all.map(({ readiness }) => readiness.reached())).then(() => true);
    const either = Promise.race([ready, stopped.then(() => false)]);
    for (;;) {
      const isReady = await within(waitingMs, either);
      if (isReady !== undefined) return isReady;
      const reason = this.#all.map(({ readiness }) => readiness.reason).find((text) => text !== undefined);
      console.log(`waiting: ${reason}`);
    }
  }

  reconfigure({ gateways, processors }: Documents): void {
    for (const config of gateways) this.#gateways.get(keyOf(config.gateway))?.reconfigure(config);
    for (const config of processors) this.#processors.get(keyOf(config.processor))?.reconfigure(config);
    const keys = [
      ...gateways.map(({ gateway }) => keyOf(gateway)),
      ...processors.map(({ processor }) => keyOf(processor)),
    ];
    const isSame =
      keys.length === this.#all.length && keys.every((key) => this.#gateways.has(key) || this.#processors.has(key));
    if (!isSame) this.log.configNeedsRestart({ fields: ['the set of gateways and processors'] });
  }

  /** Gateways first: what they have stored can still be delivered. */
  async stop(signal: string, maxMs: number): Promise<void> {
    await Promise.all([...this.#gateways.values()].map((gateway) => gateway.stop(signal, maxMs)));
    await Promise.all([...this.#processors.values()].map((processor) => processor.stop(signal, maxMs)));
  }

  get #all(): (Gateway | MessageProcessor)[] {
    return [...this.#processors.values(), ...this.#gateways.values()];
  }

  #createGateway(config: GatewayConfig, index: number): Gateway {
    const { portBase, host, version } = this.#options;
    const ports = gatewayPorts(portBase, index);
    const callbackUrl = process.env[env.callbackUrl] ?? `http://${reachable(host)}:${ports.management}`;
    const bus = this.#createBus(config);
    return new Gateway(config, {
      bus,
      secrets: this.#secrets,
      logger: this.#logger,
      ports,
      host,
      callbackUrl,
      version,
    });
  }

  /** A bus for each gateway and processor; those of one group share its messages. */
  #createBus(config: GatewayConfig | ProcessorConfig): Bus {
    const { group } = config;
    const { nats } = this.#options;
    if (nats !== undefined) {
      const role = 'gateway' in config ? 'gateway' : 'processor';
      return createGroupBus(group, {
        servers: [nats],
        secrets: this.#secrets,
        logger: this.#logger,
        role,
        name: 'dev',
      });
    }
    const name = busGroup(group.metadata.namespace, group.metadata.name);
    const broker = this.#brokers.get(name) ?? createMemoryBroker({ leaseMs: group.spec.instanceLeaseSeconds * 1000 });
    this.#brokers.set(name, broker);
    return broker.connect();
  }
}

function createPrettyLogger(level: LogLevel): Logger {
  const destination = pretty({
    colorize: hasColours(process.stdout),
    ignore: 'instanceId,group',
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    // Pretty-printing takes the escapes of the log away again.
    destination: new Writable({
      write: (chunk, _encoding, done) => void process.stdout.write(escapeControls(String(chunk)), done),
    }),
  });
  return createLogger({ level, destination });
}

function keyOf(resource: {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
}): string {
  return `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
}

/** The address by which this machine reaches what listens on `host`. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}
