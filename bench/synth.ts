/**
 * The cost of rendering gateways into objects as the operator does: one app for each, nothing kept.
 *
 *   node --expose-gc bench/synth.ts [--gateways 1000]
 */

import { parseArgs } from 'node:util';

import { renderGateway } from '../infra/render.ts';
import { gatewayDocument, groupDocument, parsed, type TestDocument } from '../test/kit/documents.ts';
import { median } from './report.ts';

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

const group = parsed(groupDocument({}, { namespace: 'bench' }));
const gateways = Array.from({ length: count }, (_, index) => parsed(gatewayOf(`chat-${index}`)));

function gatewayOf(name: string): TestDocument<'HydrogenGateway'> {
  const spec = {
    endpoints: [{ path: '/chat' }, { path: '/feed' }],
    autoscaling: { minReplicas: 2, maxReplicas: 10 },
    ingress: { className: 'nginx', hosts: ['chat.example.com'] },
  };
  return gatewayDocument(spec, { name, namespace: 'bench' });
}

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

const medianMs = median(msPerGateway);
const verdict = (isMet: boolean): string => (isMet ? 'met' : 'MISSED');
console.log(`${count} gateways, ${renderEach() / count} objects each, median of ${rounds} rounds`);
console.log(
  `time      ${medianMs.toFixed(3)} ms per gateway    goal: under ${goalMs} ms    ${verdict(medianMs < goalMs)}`,
);
console.log(
  `retained  ${retained.toFixed(1)} bytes per gateway    goal: under ${goalBytes}    ${verdict(retained < goalBytes)}`,
);
