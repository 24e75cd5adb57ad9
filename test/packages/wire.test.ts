/**
 * The types of the wire against the wire itself: what a gateway and a message processor really send is written into a
 * program, as values of these types, and the compiler must accept it. It refuses a field that a type lacks, or that is
 * missing.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after } from 'node:test';

import { connect, refusal } from '../kit/client.ts';
import { type RecordedRequest, startDestination } from '../kit/destination.ts';
import { gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';
import { eventually } from '../kit/eventually.ts';
import { root, startHydrogen } from '../kit/hydrogen.ts';
import { freePortBase } from '../kit/ports.ts';
import { installOrSkip, npm, PackedPackages, quietly, run } from './kit.ts';

const packed = await PackedPackages.create();
after(() => packed[Symbol.asyncDispose]());
const folder = packed.folder;
const tsc = join(root, 'node_modules/.bin/tsc');
const skip = await installOrSkip(async () => {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }));
  await npm(folder, 'install', packed.archive('hydrogen-gateway'), ...quietly);
});
let programs = 0;

/** What the compiler says about this program; undefined: nothing. */
async function complaint(text: string, wire = join(root, 'crds/wire.ts')): Promise<string | undefined> {
  const file = join(folder, `program-${programs++}.ts`);
  await writeFile(file, `import type * as wire from '${wire}';\n${text}\n`);
  const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--allowImportingTsExtensions'];
  const modules = ['--module', 'nodenext', '--target', 'es2022', '--skipLibCheck', '--types', '', '--ignoreConfig'];
  try {
    await run(folder, process.execPath, tsc, ...flags, ...modules, file);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

type Sample = readonly [type: string, value: unknown];

function programOf(samples: readonly Sample[]): string {
  return samples
    .map(([type, value], index) => `export const value${index}: wire.${type} = ${JSON.stringify(value)};`)
    .join('\n');
}

/** The headers of hydrogen and of Trace Context. */
function ownHeaders({ headers }: RecordedRequest): object {
  const isOurs = (name: string): boolean => name.startsWith('hydrogen-') || name === 'traceparent';
  return Object.fromEntries(Object.entries(headers).filter(([name]) => isOurs(name)));
}

/** One connection through every kind of request and answer. */
async function samplesOfRuntime(): Promise<Sample[]> {
  const service = await startDestination(({ path }) => {
    if (path === '/authorize') return { body: JSON.stringify({ context: { name: 'alice' }, subprotocol: 'chat' }) };
    return path === '/rules' ? { body: JSON.stringify({ endpoint: `${service.url}chosen` }) } : { status: 200 };
  });
  await using _service = service;
  const call = (path: string): object => ({ url: `${service.url}${path}` });
  const rulesEngine = { ...call('rules'), allowedHosts: ['127.0.0.1'] };
  const hooks = { connect: call('connected'), disconnect: call('disconnected') };
  const gateway = gatewayDocument({ subprotocols: ['chat'], authorizer: { http: call('authorize') }, hooks });
  const file = join(folder, 'app.yaml');
  await writeFile(file, yaml(groupDocument(), gateway, processorDocument({ routing: { rulesEngine } })));
  const base = await freePortBase();
  await using dev = startHydrogen(['dev', '-f', file, '--port-base', `${base}`]);
  await eventually(() => /^ready/m.test(dev.output()), { timeoutMs: 60_000 });

  const requestTo = async (path: string): Promise<RecordedRequest> => {
    await eventually(() => service.requests.some((one) => one.path === path), { timeoutMs: 30_000 });
    return service.requests.find((one) => one.path === path) as RecordedRequest;
  };
  const management = `http://127.0.0.1:${base + 1}`;
  const client = await connect(`ws://127.0.0.1:${base}/chat?room=1`, { subprotocols: ['chat'] });
  client.send('hello');
  const delivered = await requestTo('/chosen');
  const { connection_id: id } = delivered.json();
  const described = await (await fetch(`${management}/connections/${id}`)).json();
  const health = await (await fetch(`${management}/health`)).json();
  const unknown = await (await fetch(`${management}/connections/none`)).json();
  client.socket.close(1000, 'bye');
  return [
    ['AuthorizerRequest', (await requestTo('/authorize')).json()],
    ['ConnectRequest<{ name: string }>', (await requestTo('/connected')).json()],
    ['MessageRequest<{ name: string }>', (await requestTo('/rules')).json()],
    ['MessageRequest<{ name: string }>', delivered.json()],
    ['DeliveryHeaders', ownHeaders(delivered)],
    ['DisconnectRequest<{ name: string }>', (await requestTo('/disconnected')).json()],
    ['ConnectionDescription', described],
    ['HealthResponse', health],
    ['ErrorResponse', unknown],
    ['ErrorResponse', (await refusal(`ws://127.0.0.1:${base}/nowhere`)).body],
  ];
}

test('the types fit what gateways, message processors and the management API send', async () => {
  const samples = await samplesOfRuntime();
  assert.equal(await complaint(programOf(samples)), undefined);
  // The comparison notices a field that is missing, and one that is new.
  const { endpoint, ...less } = Object.fromEntries(samples)['MessageRequest<{ name: string }>'] as { endpoint: string };
  assert.match((await complaint(programOf([['MessageRequest', less]]))) ?? 'accepted', /'endpoint' is missing/);
  const more = { ...less, endpoint, more: 1 };
  assert.match(
    (await complaint(programOf([['MessageRequest', more]]))) ?? 'accepted',
    /TS2353: .*more.* does not exist/,
  );
});

test('the types fit the examples in docs/wire.md', async () => {
  const page = await readFile(join(root, 'docs/wire.md'), 'utf8');
  const [, body = ''] = /```http\nPOST[\s\S]*?\n\n(\{[\s\S]*?\n\})\n```/.exec(page) ?? [];
  const engine = JSON.parse(/\{"endpoint": "http:\/\/\.\.\."[^`]*/.exec(page)?.[0] ?? '');
  const samples: Sample[] = [
    ['MessageRequest', JSON.parse(body)],
    ['RulesEngineResponse', engine],
  ];
  assert.equal(await complaint(programOf(samples)), undefined);
});

test('a service imports them from hydrogen-gateway/wire, with its own type of context', { skip }, async () => {
  const service = `
    export function answer({ context, message }: wire.MessageRequest<{ name: string }>): string {
      return context.authorizer.name + message;
    }
    export const admitted: wire.AuthorizerResponse<{ name: string }> = { context: { name: 'alice' } };`;
  assert.equal(await complaint(service, 'hydrogen-gateway/wire'), undefined);
  assert.match((await complaint(`${service}\nadmitted.contxt;`, 'hydrogen-gateway/wire')) ?? '', /TS2551/);
  // Nothing is left of a type, but an app may import the module all the same.
  await run(folder, process.execPath, '--input-type=module', '-e', "await import('hydrogen-gateway/wire')");
});
