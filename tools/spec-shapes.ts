/** The objects inside the specs, each with the name of its interface. Equal objects are one shape. */
import type { Kind } from '../crds/resources.ts';
import type { Node } from '../crds/schema.ts';
import { sharedPartOf } from './reference-rows.ts';

export interface SpecShape {
  readonly name: string;
  /** The first kind that has it. */
  readonly kind: Kind;
  readonly node: Node;
  /** Whether several kinds have it. */
  readonly isShared: boolean;
  /** Whether a field of it, at any depth, has a default: then what a user writes has another type than the result. */
  readonly hasDefaults: boolean;
}

const prefixes: Readonly<Record<Kind, string>> = {
  HydrogenGroup: 'Group',
  HydrogenGateway: 'Gateway',
  HydrogenMessageProcessor: 'Processor',
};

/** Names of shapes by their field; others are named after their kind and field. */
const fieldNames: Readonly<Record<string, string>> = {
  hooks: 'HookCalls',
  jwt: 'JwtAuthorizer',
  providers: 'JwtProvider',
  remoteJWKS: 'RemoteJwks',
  localJWKS: 'LocalJwks',
  extractFrom: 'TokenPlaces',
  claims: 'TokenClaims',
  limits: 'Limits',
  rules: 'Rule',
  destination: 'Destination',
  rulesEngine: 'RulesEngine',
  groupRef: 'GroupRef',
  template: 'PodTemplate',
  resources: 'PodResources',
  tolerations: 'Toleration',
  autoscaling: 'Autoscaling',
  egress: 'Egress',
  allow: 'EgressRule',
  to: 'EgressPeer',
  ports: 'EgressPort',
  namespaceSelector: 'EgressSelector',
  podSelector: 'EgressSelector',
  ipBlock: 'IpBlock',
  env: 'EnvironmentVariable',
  valueFrom: 'ValueFrom',
};

/** Collects the shapes of all kinds. */
export class Shapes {
  readonly #byKey = new Map<string, SpecShape>();
  readonly #names = new Set<string>();

  /** The shapes in the order in which they were met; each comes before those inside it. */
  get all(): readonly SpecShape[] {
    return [...this.#byKey.values()];
  }

  add(kind: Kind, spec: Node): void {
    this.#add(kind, spec, `${kind}Spec`);
  }

  /** @throws when `node` is in no spec that was added */
  of(node: Node): SpecShape {
    const shape = this.#byKey.get(keyOf(node));
    if (shape === undefined) throw new TypeError('not an object of a spec');
    return shape;
  }

  #add(kind: Kind, node: Node, name: string): void {
    const known = this.#byKey.get(keyOf(node));
    if (known?.kind === kind) return;
    if (known) this.#byKey.set(keyOf(node), { ...known, isShared: true });
    else this.#byKey.set(keyOf(node), this.#create(kind, node, name));
    for (const [field, inner] of Object.entries(node.properties ?? {})) this.#addValue(kind, inner, field);
  }

  #addValue(kind: Kind, node: Node, field: string, isEntry = false): void {
    if (node.items) this.#addValue(kind, node.items, field, true);
    else if (node.properties) this.#add(kind, node, nameOf(kind, node, field, isEntry));
  }

  #create(kind: Kind, node: Node, wanted: string): SpecShape {
    let name = wanted;
    while (this.#names.has(name)) name = `${name}Part`;
    this.#names.add(name);
    const hasDefaults = Object.values(node.properties ?? {}).some(hasDefault);
    return { name, kind, node, isShared: false, hasDefaults };
  }
}

function nameOf(kind: Kind, node: Node, field: string, isEntry: boolean): string {
  const title = sharedPartOf(node)?.title;
  if (title !== undefined) return title === 'Header' ? 'Header' : 'SecretKeyRef';
  if (Object.keys(node.properties ?? {}).join() === 'url,headers,timeoutSeconds') return 'HttpCall';
  const word = isEntry ? field.replace(/s$/, '') : field;
  return fieldNames[field] ?? `${prefixes[kind]}${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}

/** Equal for objects with the same fields: their own description depends on where they are. */
function keyOf({ properties, required }: Node): string {
  return JSON.stringify([properties, required]);
}

function hasDefault(node: Node): boolean {
  return (
    node.default !== undefined ||
    (node.items !== undefined && hasDefault(node.items)) ||
    Object.values(node.properties ?? {}).some(hasDefault)
  );
}
