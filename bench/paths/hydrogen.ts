/**
 * hydrogen in the comparison: `hydrogen` stores every message in JetStream on files, `hydrogen dev` is one process with a
 * bus in memory.
 */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { gatewayDocument, groupDocument, processorDocument, yaml } from '../../test/kit/documents.ts';
import { findNatsServer } from '../../test/kit/nats-binary.ts';
import { freePortBase } from '../../test/kit/ports.ts';
import { plain } from '../load/dialect.ts';
import { startBenchProcess } from '../processes.ts';
import { shipped } from '../shipped.ts';
import { startDurable } from './durable.ts';
import type { ComparedPath, DestinationUrls, PushRequest, System } from './path.ts';
import { type BenchToken, createBenchToken } from './tokens.ts';

export interface HydrogenOptions {
  /** Added to the name. */
  readonly variant?: string;
  readonly ordering?: 'Unordered' | 'PerConnection';
  readonly maxInFlight?: number;
  readonly replicas?: number;
  readonly gateways?: number;
  readonly hasAuthorizer?: boolean;
  /** Clients have tokens, which the gateway verifies. */
  readonly hasTokens?: boolean;
  /** Sends texts that begin with `slow` to another destination. */
  readonly hasSlowRule?: boolean;
  readonly maxStoredPerConnection?: number;
  /** Answers go back to clients. @default true */
  readonly hasReplies?: boolean;
}

const run = promisify(execFile);
const here = join(import.meta.dirname, '../..');
/** From the port of clients. */
const probesOffset = 1010;

export function hydrogen(options: HydrogenOptions = {}, checkout = here): System {
  const product = checkout === here ? 'hydrogen' : 'against';
  const name = named(product, options.variant);
  return {
    name,
    product,
    version: () => versionOf(checkout),
    start: async (urls) => {
      const { replicas = 1, gateways = 1 } = options;
      const token = options.hasTokens === true ? createBenchToken() : undefined;
      const specs = specsFor(options, urls, token);
      const path = await startDurable({
        name,
        checkout,
        destinationUrl: urls.destination,
        replicas,
        gateways,
        ...specs,
      });
      const [owner = 0, other = owner] = path.managementPorts;
      return {
        name,
        url: token === undefined ? path.url : `${path.url}?access_token=${token.token}`,
        get processes() {
          return path.processes;
        },
        dialect: plain,
        ids: 'asked',
        push: (id, text, through) => sendTo(through === 'owner' ? owner : other, id, text),
        broadcast: (text) => toManagement(owner, '/connections/_broadcast', text),
        processor: { stop: () => path.stopProcessors(), start: () => path.startProcessors() },
        [Symbol.asyncDispose]: () => path[Symbol.asyncDispose](),
      };
    },
    of: (folder) => hydrogen(options, folder),
  };
}

export function hydrogenDev(options: HydrogenOptions = {}): System {
  const name = named('hydrogen dev', options.variant);
  return { name, product: 'dev', version: () => versionOf(here), start: (urls) => startDev(name, options, urls) };
}

async function startDev(name: string, options: HydrogenOptions, urls: DestinationUrls): Promise<ComparedPath> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-bench-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const { gateway, processor } = specsFor(options, urls);
  const endpoints = [{ path: '/echo' }];
  const documents = [groupDocument(), gatewayDocument({ endpoints, ...gateway }), processorDocument(processor)];
  const file = join(directory, 'documents.yaml');
  await writeFile(file, yaml(...documents));
  const port = await freePortBase();
  const { command, flags } = await shipped(here);
  const args = [...flags, command, 'dev', '--file', file, '--port-base', `${port}`, '--log-level', 'warn'];
  const dev = stack.use(startBenchProcess('dev', process.execPath, args));
  await dev.answers(`http://127.0.0.1:${port + probesOffset}/readyz`);
  const parts = stack.move();
  return {
    name,
    url: `ws://127.0.0.1:${port}/echo`,
    processes: [dev],
    dialect: plain,
    ids: 'asked',
    push: (id, text) => sendTo(port + 1, id, text),
    broadcast: (text) => toManagement(port + 1, '/connections/_broadcast', text),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

function specsFor(options: HydrogenOptions, { destination, slow }: DestinationUrls, token?: BenchToken) {
  const { ordering = 'Unordered', maxInFlight, hasAuthorizer, hasSlowRule, maxStoredPerConnection } = options;
  const to = (url: string): object => ({ url: `${url}/hydrogen`, reply: options.hasReplies ?? true });
  const slowRule = { name: 'slow', pattern: '^slow', destination: to(slow) };
  const rules = [...(hasSlowRule ? [slowRule] : []), { name: 'all', pattern: '.*', destination: to(destination) }];
  return {
    gateway: {
      ...(token !== undefined && { authorizer: { jwt: { providers: [token.provider] } } }),
      ...(hasAuthorizer && { authorizer: { http: { url: `${destination}/authorize` } } }),
      ...(maxStoredPerConnection !== undefined && { limits: { maxStoredPerConnection } }),
    },
    processor: {
      routing: { rules },
      delivery: { ordering, ...(maxInFlight !== undefined && { maxInFlight }) },
    },
  };
}

function sendTo(port: number, id: string, text: string): PushRequest {
  return toManagement(port, `/connections/${id}/_send`, text);
}

function toManagement(port: number, path: string, body: string): PushRequest {
  return { target: { host: '127.0.0.1', port }, path, headers: { 'content-type': 'text/plain' }, body };
}

function named(product: string, variant: string | undefined): string {
  return variant === undefined ? product : `${product}, ${variant}`;
}

async function versionOf(checkout: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string };
  const commit = await run('git', ['describe', '--always', '--dirty'], { cwd: checkout }).then(
    ({ stdout }) => ` (${stdout.trim()})`,
    () => '', // an unpacked package has no repository
  );
  const nats = (await run(await findNatsServer(), ['--version'])).stdout.trim();
  return `${version}${commit}, ${nats}`;
}
