/** Renders documents as users do, and finds values in the result. */

import assert from 'node:assert/strict';
import { App, Chart } from 'cdk8s';
import { parse } from 'yaml';

import { parseDocuments } from '../../crds/index.ts';
import { valueAt } from '../../crds/path.ts';
import { manifestsOf, renderAll } from '../../infra/render.ts';
import type { Manifest } from '../../infra/yaml.ts';
import { gatewayDocument, groupDocument, processorDocument, yaml } from '../kit/documents.ts';

/** The objects for the documents of a YAML text. */
export function renderYaml(text: string): Manifest[] {
  return renderAll(parseDocuments(text, 'test'));
}

/** The objects of a chart that `build` fills. */
export function synth(build: (chart: Chart) => unknown, chartId = 'chart', namespace?: string): Manifest[] {
  const chart = new Chart(new App({ outdir: 'dist' }), chartId, namespace === undefined ? {} : { namespace });
  build(chart);
  return manifestsOf(chart);
}

/** The one object of a kind and, where there are several, a name. */
export function find(objects: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = objects.filter((object) => object.kind === kind && (name === undefined || nameOf(object) === name));
  assert.equal(found.length, 1, `${found.length} of kind ${kind}${name === undefined ? '' : ` named ${name}`}`);
  return found[0] ?? {};
}

/** `Kind/name` of each object. */
export function identities(objects: readonly Manifest[]): string[] {
  return objects.map((object) => `${object.kind}/${nameOf(object)}`);
}

export function nameOf(object: Manifest): string {
  return String(valueAt(object, 'metadata.name'));
}

/** The value at `path`. */
export function at(object: unknown, path: string): unknown {
  return valueAt(object, path);
}

/** A group and, as wanted, its gateway and its processor, as text; the options are YAML with fields of their specs. */
export function documents(
  options: { group?: string; gateway?: string; processor?: string; name?: string } = {},
): string {
  const { group = '', gateway, processor, name = 'chat' } = options;
  const naming = { name, group: name, namespace: 'shop' };
  return yaml(
    groupDocument(parse(group) ?? {}, naming),
    ...(gateway === undefined ? [] : [gatewayDocument(parse(gateway), naming)]),
    ...(processor === undefined ? [] : [processorDocument(parse(processor), naming)]),
  );
}
