/** Documents for tests: the smallest that are valid, named `chat`, with whatever fields a test adds. */

import { apiVersion } from '../../crds/contract.ts';
import { type HydrogenGateway, type HydrogenGroup, type HydrogenMessageProcessor, parse } from '../../crds/index.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface TestDocument<Kind extends string = string> {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Fields;
}

export interface Naming {
  /** @default chat */
  readonly name?: string;
  /** @default - none */
  readonly namespace?: string;
}

export interface MemberNaming extends Naming {
  /** Name of the group. @default chat */
  readonly group?: string;
}

interface Parsed {
  readonly HydrogenGroup: HydrogenGroup;
  readonly HydrogenGateway: HydrogenGateway;
  readonly HydrogenMessageProcessor: HydrogenMessageProcessor;
}

/** A group on NATS servers that nobody has to run. */
export function groupDocument(spec: Fields = {}, naming: Naming = {}): TestDocument<'HydrogenGroup'> {
  return document('HydrogenGroup', { nats: { servers: ['nats://127.0.0.1:4222'] }, ...spec }, naming);
}

/** A gateway with the endpoint /chat. */
export function gatewayDocument(
  spec: Fields = {},
  { group = 'chat', ...naming }: MemberNaming = {},
): TestDocument<'HydrogenGateway'> {
  const endpoints = [{ path: '/chat' }];
  return document('HydrogenGateway', { groupRef: { name: group }, endpoints, ...spec }, naming);
}

/** A message processor that posts everything to one URL. */
export function processorDocument(
  spec: Fields = {},
  { group = 'chat', ...naming }: MemberNaming = {},
): TestDocument<'HydrogenMessageProcessor'> {
  const routing = everythingTo('http://messages:8080/');
  return document('HydrogenMessageProcessor', { groupRef: { name: group }, routing, ...spec }, naming);
}

/** Routing of every message to this URL. */
export function everythingTo(url: string, destination: Fields = {}): Fields {
  return { rules: [{ name: 'all', pattern: '.*', destination: { url, ...destination } }] };
}

/** Documents as a YAML stream: JSON is YAML. */
export function yaml(...documents: readonly object[]): string {
  return documents.map((one) => JSON.stringify(one)).join('\n---\n');
}

/** The document with its defaults. @throws with every problem of one that is not valid */
export function parsed<Kind extends keyof Parsed>(one: TestDocument<Kind>): Parsed[Kind] {
  const result = parse(one);
  if (!result.ok) throw new Error(result.issues.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return result.resource as Parsed[Kind]; // parse keeps the kind
}

function document<Kind extends string>(
  kind: Kind,
  spec: Fields,
  { name = 'chat', namespace }: Naming,
): TestDocument<Kind> {
  return { apiVersion, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, spec };
}
