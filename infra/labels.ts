/**
 * Labels and selectors. Selectors are immutable in a cluster, so these must never change: users would have to delete
 * their deployments. None of them contains `app.kubernetes.io/instance`, since Argo CD may claim that label.
 */

/** The component that an object belongs to. */
export type Component = 'gateway' | 'mproc' | 'nats' | 'operator' | 'demo';

/** The label that selects the pods of each component. */
const selectorKeys = {
  gateway: 'hydrogen.dev/gateway',
  mproc: 'hydrogen.dev/message-processor',
  nats: 'hydrogen.dev/nats',
  operator: 'hydrogen.dev/operator',
  demo: 'hydrogen.dev/demo',
} as const satisfies Record<Component, string>;

/** The label with the name of an object's group. */
export const groupLabel = 'hydrogen.dev/group-name';

/** The owner of an object. */
export interface Identity {
  readonly component: Component;
  /** Name of the gateway, message processor, group (for its NATS) or operator. */
  readonly name: string;
  readonly namespace: string;
  /** Name of the group. @default - none, for the operator */
  readonly group?: string;
}

/** Labels as a plain map. */
export type Labels = Readonly<Record<string, string>>;

/** The selector of the pods of `identity` in its namespace. */
export function selectorOf({ component, name }: Identity): Labels {
  return { [selectorKeys[component]]: name };
}

/** The labels of every object, pods included, that belongs to `identity`. */
export function labelsOf(identity: Identity): Labels {
  return {
    ...selectorOf(identity),
    'app.kubernetes.io/name': 'hydrogen',
    'app.kubernetes.io/instance': identity.name,
    'app.kubernetes.io/component': identity.component,
    'app.kubernetes.io/part-of': 'hydrogen',
    'app.kubernetes.io/managed-by': 'hydrogen',
    ...(identity.group === undefined ? {} : { [groupLabel]: identity.group }),
  };
}

/** Metadata for an object of `identity`; every emitted object has exactly this. */
export function metadataOf(
  identity: Identity,
  name: string,
  annotations?: Labels,
): { name: string; namespace: string; labels: Labels; annotations?: Labels } {
  const { namespace } = identity;
  return { name, namespace, labels: labelsOf(identity), ...(annotations && { annotations }) };
}
