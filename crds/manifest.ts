/**
 * The CustomResourceDefinitions of the kinds, built only from the schemas and the rules beside them, so that a cluster
 * accepts what `parse` accepts. The same input gives the same bytes.
 */
import { apiVersion } from './contract.ts';
import { grammarOf } from './grammar.ts';
import { type KindDefinition, kinds } from './kinds.ts';
import { type PrinterColumn, printerColumns } from './manifest-columns.ts';
import { literal, type Validation, validationsOf } from './manifest-validations.ts';
import { child } from './path.ts';
import type { Kind } from './resources.ts';
import { type Node, nodeOf } from './schema.ts';

/** A CustomResourceDefinition of apiextensions.k8s.io/v1, with the fields that ours have. */
export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly group: string;
    readonly names: Readonly<Record<string, string | readonly string[]>>;
    readonly scope: 'Namespaced';
    readonly versions: readonly Version[];
  };
}

interface Version {
  readonly name: string;
  readonly served: true;
  readonly storage: true;
  readonly schema: { readonly openAPIV3Schema: ManifestNode };
  readonly subresources: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly additionalPrinterColumns: readonly PrinterColumn[];
}

/** A schema with the rules of its node. */
export interface ManifestNode extends Omit<Node, 'properties' | 'items' | 'additionalProperties'> {
  readonly 'x-kubernetes-validations'?: readonly Validation[];
  readonly properties?: Readonly<Record<string, ManifestNode>>;
  readonly items?: ManifestNode;
  readonly additionalProperties?: ManifestNode;
}

const [group = '', version = ''] = apiVersion.split('/');

const shortNames: Readonly<Record<Kind, string>> = {
  HydrogenGroup: 'hgrp',
  HydrogenGateway: 'hgw',
  HydrogenMessageProcessor: 'hmp',
};

/**
 * Argo CD applies the definitions server-side, before everything else, and never removes them: that would delete all
 * objects.
 */
const annotations = {
  'argocd.argoproj.io/sync-options': 'ServerSideApply=true,Prune=false,Delete=false',
  'argocd.argoproj.io/sync-wave': '-5',
};

const scale = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.status.selector',
};

/** The CustomResourceDefinitions of all kinds; a new copy with each call. */
export function customResourceDefinitions(): CustomResourceDefinition[] {
  return (Object.keys(kinds) as Kind[]).map((kind) => definitionOf(kind, kinds[kind]));
}

function definitionOf(kind: Kind, definition: KindDefinition): CustomResourceDefinition {
  const singular = kind.toLowerCase();
  const spec = nodeOf(definition.schema);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${singular}s.${group}`,
      labels: { 'app.kubernetes.io/name': 'hydrogen', 'app.kubernetes.io/component': 'crds' },
      annotations,
    },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural: `${singular}s`,
        singular,
        shortNames: [shortNames[kind]],
        categories: ['hydrogen'],
      },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schemaOf(kind, definition) },
          subresources: { status: {}, ...(spec.properties?.replicas ? { scale } : {}) },
          additionalPrinterColumns: printerColumns[kind],
        },
      ],
    },
  };
}

function schemaOf(kind: Kind, definition: KindDefinition): ManifestNode {
  const validations = validationsOf(definition);
  const root: Node = {
    description: definition.description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: `Version of the API: ${apiVersion}.` },
      kind: { type: 'string', description: `Kind of the object: ${kind}.` },
      metadata: { type: 'object' },
      spec: nodeOf(definition.schema),
      status: nodeOf(definition.status),
    },
  };
  const schema = withValidations(root, '', validations);
  const [lost] = validations.keys();
  if (lost !== undefined) throw new TypeError(`${kind} has a rule at ${lost}, which is not a field`);
  return schema;
}

/** A plain copy of `node` with each of `validations` on its node; those that have been placed are removed from the map. */
function withValidations(node: Node, path: string, validations: Map<string, Validation[]>): ManifestNode {
  const { properties, items, additionalProperties, ...keywords } = withoutLongPattern(node);
  const rules = [...wordsOf(node), ...(validations.get(path) ?? [])];
  const own = rules.length === 0 ? undefined : rules;
  validations.delete(path);
  const copy = (inner: Node, at: string): ManifestNode => withValidations(inner, at, validations);
  const fields = Object.entries(properties ?? {}).map(([name, field]) => [name, copy(field, child(path, name))]);
  return {
    ...structuredClone(keywords),
    ...(own ? { 'x-kubernetes-validations': own } : {}),
    ...(properties ? { properties: Object.fromEntries(fields) as Record<string, ManifestNode> } : {}),
    ...(items ? { items: copy(items, `${path}[*]`) } : {}),
    ...(additionalProperties ? { additionalProperties: copy(additionalProperties, `${path}[*]`) } : {}),
  };
}

/** A server shows the pattern that a value does not match; a longer one than this, in characters, explains nothing. */
const longestPattern = 200;

/** A rule costs in proportion to the length of its value; that of URLs of 2048 characters exceeds the server's budget. */
const longestValue = 512;

function hasLongPattern({ pattern = '', maxLength = Number.POSITIVE_INFINITY }: Node): boolean {
  return pattern.length > longestPattern && maxLength <= longestValue;
}

function withoutLongPattern(node: Node): Node {
  const { pattern: _, ...rest } = node;
  return hasLongPattern(node) ? rest : node;
}

/** The rule that stands for a long pattern, with its words. */
function wordsOf(node: Node): Validation[] {
  const { pattern = '' } = node;
  const words = hasLongPattern(node) ? grammarOf(pattern)?.words : undefined;
  return words === undefined ? [] : [{ rule: `self.matches(${literal(pattern)})`, message: `must be ${words}` }];
}
