/**
 * What it costs to turn gateways into objects, the way the operator does: one app for each, nothing kept.
 *
 *   node --expose-gc bench/synth.ts [--gateways 1000]
 */

import { parseArgs } from 'node:util';

import { apiVersion } from '../crds/contract.ts';
import { parse, type Resource } from '../crds/index.ts';
import { renderGateway } from '../infra/render.ts';

const goalMs = 1;
const goalBytes = 1000;
const rounds = 5;

const { values } = parseArgs({ options: { gateways: { type: 'string', default: '1000' } } });
const count = Number(values.gateways);
const { gc } = globalThis;
if (gc === undefined) {
  console.error('run it as: node --expose-gc bench/synth.ts');
  process.exit(2);
}

type Of<K extends Resource['kind']> = Extract<Resource, { kind: K }>;

function parsed<K extends Resource['kind']>(kind: K, name: string, spec: object): Of<K> {
  const result = parse({ apiVersion, kind, metadata: { name, namespace: 'bench' }, spec });
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.resource as Of<K>; // parse keeps the kind
}

const group = parsed('HydrogenGroup', 'chat', { nats: { servers: ['nats://nats:4222'] } });
const gateways = Array.from({ length: count }, (_, index) =>
  parsed('HydrogenGateway', `chat-${index}`, {
    groupRef: { name: 'chat' },
    endpoints: [{ path: '/chat' }, { path: '/feed' }],
    autoscaling: { minReplicas: 2, maxReplicas: 10 },
    ingress: { className: 'nginx', hosts: ['chat.example.com'] },
  }),
);

/** Renders every gateway and keeps nothing. @returns the number of objects */
function renderEach(): number {
  let objects = 0;
  for (const gateway of gateways) objects += renderGateway(gateway, group).length;
  return objects;
}

function heapBytes(): number {
  gc?.();
  gc?.();
  return process.memoryUsage().heapUsed;
}

renderEach(); // compiled, and its caches filled
const msPerGateway: number[] = [];
const before = heapBytes();
for (let round = 0; round < rounds; round++) {
  const startedAtMs = performance.now();
  renderEach();
  msPerGateway.push((performance.now() - startedAtMs) / count);
}
const retained = Math.max(0, heapBytes() - before) / (count * rounds);

msPerGateway.sort((a, b) => a - b);
const median = msPerGateway[Math.floor(rounds / 2)] ?? Number.NaN;
const verdict = (isMet: boolean): string => (isMet ? 'met' : 'MISSED');
console.log(`${count} gateways, ${renderEach() / count} objects each, median of ${rounds} rounds`);
console.log(`time      ${median.toFixed(3)} ms a gateway    goal: under ${goalMs} ms    ${verdict(median < goalMs)}`);
console.log(
  `retained  ${retained.toFixed(1)} bytes a gateway    goal: under ${goalBytes}    ${verdict(retained < goalBytes)}`,
);
