/** What `hydrogen dev` prints once it is ready: what listens where, and a command to try. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Documents, GatewayConfig, ProcessorConfig } from '../runtime/role/documents.ts';
import { gatewayPorts } from './ports.ts';

/** The port that examples/echo.yaml names for its destination. */
const exampleEchoPort = 8099;

/** The echo example with its destination on the given port. */
export async function echoDocuments(port: number): Promise<string> {
  const candidates = ['../examples/echo.yaml', '../../examples/echo.yaml'].map(
    (path) => new URL(path, import.meta.url),
  );
  const file = candidates.find((url) => existsSync(fileURLToPath(url)));
  if (file === undefined) throw new Error('examples/echo.yaml is missing from this installation');
  return (await readFile(file, 'utf8')).replaceAll(`127.0.0.1:${exampleEchoPort}`, `127.0.0.1:${port}`);
}

export function describeRun(
  { gateways, processors }: Documents,
  options: { readonly nats?: string; readonly portBase: number; readonly host: string },
  echoUrl: string | undefined,
): string {
  const bus = options.nats === undefined ? 'memory bus: messages do not survive this process' : `NATS ${options.nats}`;
  const lines = ['', `hydrogen dev, ${bus}`, ''];
  for (const [index, { gateway }] of gateways.entries()) {
    const ports = gatewayPorts(options.portBase, index);
    lines.push(`  gateway ${gateway.metadata.name} (${gateway.spec.mode})`);
    for (const { path } of gateway.spec.endpoints)
      lines.push(`    clients     ws://${options.host}:${ports.client}${path}`);
    lines.push(`    management  http://${options.host}:${ports.management}`);
    lines.push(`    probes      http://${options.host}:${ports.probes}/readyz /livez /metrics`);
  }
  for (const { processor } of processors) {
    lines.push(`  processor ${processor.metadata.name}`);
    lines.push(...describeRouting(processor).map((line) => `    ${line}`));
  }
  if (echoUrl !== undefined) lines.push(`  echo destination ${echoUrl}`);
  lines.push(...withoutEffect({ gateways, processors }));
  const [first] = gateways;
  if (first !== undefined) lines.push('', ...tryIt(first.gateway, options));
  lines.push('', 'ready, Ctrl-C stops');
  return lines.join('\n');
}

/** Notes about fields that only the operator acts on. */
function withoutEffect({ gateways, processors }: Documents): string[] {
  const resources = [
    ...gateways.flatMap(({ gateway, group }) => [gateway, group]),
    ...processors.flatMap(({ processor, group }) => [processor, group]),
  ];
  const notes = resources
    .filter(({ spec }) => spec.paused)
    .map(
      ({ kind, metadata }) => `  ${kind}/${metadata.name}: spec.paused has no effect here, only the operator reads it`,
    );
  return [...new Set(notes)];
}

function describeRouting({ spec }: ProcessorConfig['processor']): string[] {
  const { rules, rulesEngine } = spec.routing;
  if (rulesEngine !== undefined) return [`rules engine ${rulesEngine.url}`];
  return (rules ?? []).map(
    ({ name, pattern, destination }) =>
      `${name}  /${pattern}/ -> POST ${destination.url}${destination.reply ? ', its answer goes back to the client' : ''}`,
  );
}

/** A command that works: it sends nothing to a gateway that only sends, and has a note where an authorizer decides. */
function tryIt(
  { spec }: GatewayConfig['gateway'],
  options: { readonly portBase: number; readonly host: string },
): string[] {
  const url = `ws://${options.host}:${options.portBase}${spec.endpoints[0]?.path ?? '/'}`;
  const onMessage = '(m) => console.log(m.data)';
  const script =
    spec.mode === 'ServerToClient'
      ? `new WebSocket('${url}').onmessage = ${onMessage}`
      : `const s = new WebSocket('${url}'); s.onopen = () => s.send('hello'); s.onmessage = ${onMessage}`;
  const note = spec.authorizer === undefined ? '' : ' (add what your authorizer needs)';
  return [`  try it in another terminal${note}:`, `    npx wscat -c ${url}`, `    ${nodeCommand()} -e "${script}"`];
}

/** This Node, as a shell in this folder starts it. The one in its PATH may be older, and without WebSocket. */
function nodeCommand(): string {
  const isOfProject = process.execPath.startsWith(join(process.cwd(), 'node_modules/'));
  return isOfProject ? 'npx node' : process.execPath;
}
