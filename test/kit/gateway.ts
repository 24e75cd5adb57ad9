/** A real gateway on a memory broker, with its log lines and the messages that a consumer received. */

import { createLogger } from '../../process/logger.ts';
import { createMemoryBroker, type MemoryBroker } from '../../runtime/bus/memory/memory.ts';
import type { Bus } from '../../runtime/bus/port/bus.ts';
import type { Delivery } from '../../runtime/bus/port/messages.ts';
import { Gateway } from '../../runtime/gateway/gateway.ts';
import type { GatewayConfig } from '../../runtime/role/documents.ts';
import { MountedSecrets } from '../../runtime/role/secrets.ts';
import { gatewayDocument, groupDocument, parsed } from './documents.ts';
import { eventually } from './eventually.ts';

export interface TestGatewayOptions {
  /** Merged over `{groupRef, endpoints: [/chat, /feed]}`. */
  readonly spec?: Record<string, unknown>;
  readonly broker?: MemoryBroker;
  /** Instead of a bus of the broker. */
  readonly bus?: Bus;
  /** With false, no consumer is created and a bidirectional gateway does not become ready. Default true. */
  readonly isConsumed?: boolean;
  /** Called with each delivery; default: acknowledges it. */
  readonly onDelivery?: (delivery: Delivery) => void;
  readonly secretsDir?: string;
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string;
}

export interface ReceivedMessage {
  readonly id: string;
  readonly body: Record<string, unknown>;
}

export interface LogLine extends Record<string, unknown> {
  readonly level: string;
  readonly msg: string;
}

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly broker: MemoryBroker;
  readonly messages: ReceivedMessage[];
  readonly lines: LogLine[];
  url(path: string): string;
  readonly managementUrl: string;
  readonly probesUrl: string;
  /** Applies a new spec, merged as in the options. */
  reconfigure(spec: Record<string, unknown>): void;
}

/** A gateway of the group `test`, with the endpoints /chat and /feed. */
export function gatewayConfig(spec: Record<string, unknown> = {}): GatewayConfig {
  const endpoints = [{ path: '/chat' }, { path: '/feed' }];
  return {
    group: parsed(groupDocument({}, { name: 'test' })),
    gateway: parsed(gatewayDocument({ endpoints, ...spec }, { name: 'test', group: 'test' })),
  };
}

/** Resolves when the gateway is ready (or, with `isConsumed: false`, listens). */
export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const broker = options.broker ?? createMemoryBroker();
  const messages: ReceivedMessage[] = [];
  const lines: LogLine[] = [];
  const logger = createLogger({ level: 'debug', destination: { write: (line) => void lines.push(JSON.parse(line)) } });
  const consumer = broker.connect();
  await consumer.start();
  if (options.isConsumed !== false) {
    const consumption = { processor: 'test', endpoints: undefined, ackTimeoutMs: 60_000, maxInFlight: 10_000 };
    consumer.messages.consume(
      { ...consumption, ordering: 'Unordered', partitions: 64 },
      (delivery) => {
        messages.push({ id: delivery.id, body: JSON.parse(Buffer.from(delivery.payload).toString()) });
        if (options.onDelivery === undefined) delivery.ack();
        else options.onDelivery(delivery);
      },
      (error) => {
        throw error;
      },
    );
  }
  const gateway = new Gateway(gatewayConfig(options.spec), {
    bus: options.bus ?? broker.connect(),
    secrets: new MountedSecrets(options.secretsDir ?? '/nonexistent', () => {}),
    logger,
    ports: { client: 0, management: 0, probes: 0 },
    host: options.host ?? '127.0.0.1',
    callbackUrl: 'http://callback.test',
    version: 'test',
  });
  await gateway.start();
  if (options.isConsumed !== false) await eventually(() => gateway.readiness.reason === undefined);
  return {
    gateway,
    broker,
    messages,
    lines,
    url: (path) => `ws://127.0.0.1:${gateway.ports.client}${path}`,
    managementUrl: `http://127.0.0.1:${gateway.ports.management}`,
    probesUrl: `http://127.0.0.1:${gateway.ports.probes}`,
    reconfigure: (spec) => gateway.reconfigure(gatewayConfig(spec)),
    async [Symbol.asyncDispose]() {
      await gateway.stop('test', 0);
      await consumer.stop();
    },
  };
}
