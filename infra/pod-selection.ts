/**
 * The pods of a construct, in the form in which cdk8s-plus of any version takes them: as a pod selector and as a peer of
 * network policies. Its own types are classes with private fields, which only instances of one version have.
 */
import type { IConstruct } from 'constructs';

import type { Labels } from './labels.ts';

/** Satisfies `PodSelectorConfig` of cdk8s-plus. */
export interface PodSelection {
  // biome-ignore lint/suspicious/noExplicitAny: no other type is assignable to the class of every version
  readonly labelSelector: any;
  readonly namespaces: { readonly names: string[] };
}

/** Satisfies `IPodSelector` and `INetworkPolicyPeer` of cdk8s-plus. */
export interface SelectsPods extends IConstruct {
  toPodSelectorConfig(): PodSelection;
  toPodSelector(): SelectsPods;
  toNetworkPolicyPeerConfig(): { readonly podSelector: PodSelection };
}

/** The pods with these labels in one namespace. */
export function podsWith(labels: Labels, namespace: string): PodSelection {
  return { labelSelector: new MatchLabels(labels), namespaces: { names: [namespace] } };
}

/** What cdk8s-plus calls of its class `LabelSelector`. */
class MatchLabels {
  readonly #labels: Labels;

  constructor(labels: Labels) {
    this.#labels = labels;
  }

  isEmpty(): boolean {
    return Object.keys(this.#labels).length === 0;
  }

  _toKube(): { readonly matchLabels: Labels } {
    return { matchLabels: { ...this.#labels } };
  }
}
