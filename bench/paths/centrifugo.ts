/**
 * Centrifugo with its RPC proxy: a command of a client is one POST to the destination, whose answer is the command's. With
 * two nodes, publications travel over a nats-server.
 */

import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePortBase } from '../../test/kit/ports.ts';
import { centrifugoDialect } from '../load/dialect.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';
import { centrifugoVersion, findCentrifugo } from './centrifugo-binary.ts';
import { startNatsServer } from './nats-server.ts';
import type { ComparedPath, DestinationUrls, PushRequest, System } from './path.ts';

export interface CentrifugoOptions {
  /** Added to the name. */
  readonly variant?: string;
  /** @default 1 */
  readonly nodes?: number;
  /** Clients are subscribed to channels: one of their own, and one of all. */
  readonly hasChannels?: boolean;
  /** Each connect asks the destination. */
  readonly hasAuthorizer?: boolean;
}

/** The defaults of Centrifugo are one second. */
const timeout = '10s';
const secret = 'bench';

export function centrifugo(options: CentrifugoOptions = {}): System {
  const name = options.variant === undefined ? 'Centrifugo' : `Centrifugo, ${options.variant}`;
  return {
    name,
    product: 'Centrifugo',
    version: async () => centrifugoVersion(await findCentrifugo()),
    start: (urls) => start(name, options, urls),
  };
}

async function start(name: string, options: CentrifugoOptions, urls: DestinationUrls): Promise<ComparedPath> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const { nodes = 1 } = options;
  const processes: BenchProcess[] = [];
  const nats = nodes > 1 ? stack.use(await startNatsServer(join(directory, 'jetstream'))) : undefined;
  const ports: number[] = [];
  for (let index = 0; index < nodes; index += 1) {
    const port = await freePortBase();
    const file = join(directory, `${index}.json`);
    await writeFile(file, JSON.stringify(configuration(port, options, urls, nats?.url)));
    const node = index === 0 ? 'centrifugo' : `centrifugo ${index + 1}`;
    const started = stack.use(startBenchProcess(node, await findCentrifugo(), ['--config', file]));
    await started.answers(`http://127.0.0.1:${port}/health`);
    processes.push(started);
    ports.push(port);
  }
  if (nats !== undefined) processes.push(nats.process);
  const [owner = 0, other = owner] = ports;
  const parts = stack.move();
  return {
    name,
    url: `ws://127.0.0.1:${owner}/connection/websocket`,
    processes,
    dialect: centrifugoDialect((index) => (options.hasChannels ? { token: tokenFor(index) } : {})),
    ids: 'index',
    push: (id, text, through) => publish(through === 'owner' ? owner : other, `client-${id}`, text),
    broadcast: (text) => publish(owner, 'all', text),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

function configuration(port: number, options: CentrifugoOptions, urls: DestinationUrls, natsUrl?: string): object {
  const { hasChannels = false, hasAuthorizer = false } = options;
  const endpoint = `${urls.destination}/centrifugo`;
  return {
    http_server: { address: '127.0.0.1', port: `${port}` },
    log: { level: 'warn' },
    usage_stats: { disabled: true },
    health: { enabled: true },
    client: {
      insecure: !hasChannels && !hasAuthorizer,
      token: { hmac_secret_key: secret },
      proxy: { connect: { enabled: hasAuthorizer, endpoint: `${endpoint}/connect`, timeout } },
    },
    http_api: { insecure: true },
    rpc: {
      proxy: { endpoint, timeout },
      without_namespace: { proxy_enabled: true },
      namespaces: [{ name: 'slow', proxy_enabled: true, proxy_name: 'slow' }],
    },
    proxies: [{ name: 'slow', endpoint: `${urls.slow}/centrifugo`, timeout }],
    broker: natsUrl === undefined ? {} : { enabled: true, type: 'nats', nats: { url: natsUrl } },
  };
}

function publish(port: number, channel: string, text: string): PushRequest {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ channel, data: text });
  return { target: { host: '127.0.0.1', port }, path: '/api/publish', headers, body };
}

/** A JSON Web Token that subscribes its client. */
function tokenFor(index: number): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const claims = { sub: `${index}`, channels: [`client-${index}`, 'all'] };
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
