/**
 * Turns documents into plain objects through the same constructs that a cdk8s app uses. Pure: no files, no cluster, no
 * clock.
 */
import { App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';

import { resolveGroups } from '../crds/groups.ts';
import type {
  HydrogenGateway as ParsedGateway,
  HydrogenGroup as ParsedGroup,
  HydrogenMessageProcessor as ParsedProcessor,
  Resource,
} from '../crds/resources.ts';
import { HydrogenGateway } from './gateway.ts';
import { HydrogenGroup } from './group.ts';
import { HydrogenMessageProcessor } from './processor.ts';
import { type Manifest, ordered } from './yaml.ts';

/** The images of pods whose documents specify none. */
export interface RenderImages {
  /** Image of gateways and message processors. @default - the image of this release */
  readonly image?: string;
  /** Image of the NATS servers of groups with `nats.managed`. @default - that of this release */
  readonly natsImage?: string;
}

/** The objects that run a group: none unless it has `nats.managed`. @throws InvalidDocuments */
export function renderGroup({ metadata, spec }: ParsedGroup, { natsImage }: RenderImages = {}): Manifest[] {
  const props = { ...named(metadata), spec, ...(natsImage !== undefined && { natsImage }) };
  return synthesize((chart) => new HydrogenGroup(chart, 'group', props));
}

/** The objects that run a gateway of `group`. @throws InvalidDocuments */
export function renderGateway(
  { metadata, spec }: ParsedGateway,
  group: ParsedGroup,
  options: RenderImages = {},
): Manifest[] {
  const props = { ...named(metadata), spec, group: { document: group }, ...imageOf(options) };
  return synthesize((chart) => new HydrogenGateway(chart, 'gateway', props));
}

/** The objects that run a message processor of `group`. @throws InvalidDocuments */
export function renderProcessor(
  { metadata, spec }: ParsedProcessor,
  group: ParsedGroup,
  options: RenderImages = {},
): Manifest[] {
  const props = { ...named(metadata), spec, group: { document: group }, ...imageOf(options) };
  return synthesize((chart) => new HydrogenMessageProcessor(chart, 'processor', props));
}

/** Everything that runs `resources`: groups, then gateways, then processors. @throws InvalidDocuments */
export function renderAll(resources: readonly Resource[], options: RenderImages = {}): Manifest[] {
  const { groups, gateways, processors } = resolveGroups(resources);
  return [
    ...groups.flatMap((group) => renderGroup(group, options)),
    ...gateways.flatMap(({ gateway, group }) => renderGateway(gateway, group, options)),
    ...processors.flatMap(({ processor, group }) => renderProcessor(processor, group, options)),
  ];
}

/** The plain objects of a chart that `build` fills, in the order in which they are added. */
export function synthesize(build: (chart: Chart) => unknown): Manifest[] {
  const chart = new Chart(new App({ outdir: 'dist', recordConstructMetadata: false }), 'hydrogen');
  build(chart);
  return manifestsOf(chart);
}

/** The plain objects below `scope`, with their fields in a fixed order. */
export function manifestsOf(scope: Construct): Manifest[] {
  return Chart.of(scope)
    .toJson()
    .map((object) => ordered(object) as Manifest); // an object stays an object
}

function imageOf({ image }: RenderImages): { readonly image?: string } {
  return image === undefined ? {} : { image };
}

function named({ name, namespace }: { readonly name: string; readonly namespace: string }) {
  return { name, namespace };
}
