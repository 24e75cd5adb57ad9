/**
 * Argo CD's health checks for the custom resources. Without a check, Argo CD reports no health for a kind that it does
 * not know, and a sync ends before a gateway has a pod.
 */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { Construct } from 'constructs';

import { conditionsWithHealth, type ReasonOf } from '../crds/conditions.ts';
import { apiVersion } from '../crds/contract.ts';
import { kinds } from '../crds/index.ts';

/** The namespace of Argo CD by default. */
export const defaultArgoNamespace = 'argocd';

/** Properties of {@link HydrogenArgoHealth}. */
export interface HydrogenArgoHealthProps {
  /** Namespace that Argo CD runs in. @default 'argocd' */
  readonly namespace?: string;
}

const withoutPods: ReasonOf<'Available'> = 'ScaledToZero';

/**
 * One check for all three kinds. It reads conditions as kstatus does, with two exceptions that kstatus has no status for:
 * a paused object is Suspended, and one that specifies no pods is Healthy, like a Deployment without replicas. If it
 * were Suspended, a sync with several waves would wait for as long as no pods are wanted.
 *
 * Argo CD provides scripts with neither `string` nor `math`, and never runs them for objects that are being deleted.
 */
const script = `-- Conditions are in the form of kstatus: observedGeneration, Reconciling, Stalled, Ready.
local health = { status = "Progressing", message = "waiting for the hydrogen operator" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "waiting for the hydrogen operator to take over the latest change"
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local meanings = {
${conditionsWithHealth()
  .map((pair) => `  { ${pair.map((word) => `"${word}"`).join(', ')} },`)
  .join('\n')}
}
for _, meaning in ipairs(meanings) do
  local condition = conditions[meaning[1]]
  if condition ~= nil and condition.status == "True" then
    return { status = meaning[2], message = condition.message }
  end
end
local ready = conditions.Ready
if ready ~= nil then
  health.message = ready.message
  if ready.reason == "${withoutPods}" then
    health.status = "Healthy"
  end
end
return health
`;

/**
 * The entries of `argocd-cm` that give Argo CD 2.1 and newer a health check for each kind, for users who maintain that
 * config map themselves. There is one key per kind, because only that form can be merged: a wildcard (`hydrogen.dev/*`)
 * is only read inside the key `resource.customizations`, which is one text with one owner.
 */
export function argoHealthData(): Readonly<Record<string, string>> {
  const [group = ''] = apiVersion.split('/');
  const entries = Object.keys(kinds).map((kind) => [`resource.customizations.health.${group}_${kind}`, script]);
  return Object.fromEntries(entries);
}

/**
 * `argocd-cm` with the health checks and nothing else. Apply it server-side with a field manager of its own, so that it
 * is merged into the existing config map: `kubectl apply --server-side --field-manager=hydrogen-health -f FILE`. Where
 * Argo CD manages itself, put {@link argoHealthData} into its own `argocd-cm` instead: two Applications share one field
 * manager, and each would remove what the other has set.
 */
export class HydrogenArgoHealth extends Construct {
  constructor(scope: Construct, id: string, { namespace = defaultArgoNamespace }: HydrogenArgoHealthProps = {}) {
    super(scope, id);
    const name = 'argocd-cm';
    // Argo CD ignores config maps without the second label.
    const labels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/part-of': 'argocd' };
    new k8s.KubeConfigMap(this, 'ConfigMap', { metadata: { name, namespace, labels }, data: argoHealthData() });
  }
}
