/**
 * How Argo CD tells the health of custom resources. It knows nothing of kinds that are not its own: without a check they
 * count as neither healthy nor degraded, and a sync is over before a gateway has a pod.
 */
import * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';
import { Construct } from 'constructs';

import type { ConditionType, ReasonOf } from '../crds/conditions.ts';
import { apiVersion } from '../crds/contract.ts';
import { kinds } from '../crds/index.ts';

/** Where Argo CD runs when nobody says otherwise. */
export const defaultArgoNamespace = 'argocd';

/** Properties of {@link HydrogenArgoHealth}. */
export interface HydrogenArgoHealthProps {
  /** Namespace that Argo CD runs in. @default 'argocd' */
  readonly namespace?: string;
}

/** What Argo CD calls an object in which one of these is True; the first one counts. */
const meanings: readonly (readonly [ConditionType, string])[] = [
  ['Paused', 'Suspended'],
  ['Stalled', 'Degraded'],
  ['Reconciling', 'Progressing'],
  ['RollingOut', 'Progressing'],
  ['Ready', 'Healthy'],
];

const withoutPods: ReasonOf<'Available'> = 'ScaledToZero';

/**
 * One check for the three kinds. It reads conditions as kstatus does, but for two things that kstatus has no word for: a
 * paused object is Suspended, and one that was asked to have no pods is Healthy, as a Deployment of no replicas is. A
 * Suspended object would keep a sync with several waves waiting, for as long as nobody wants pods.
 *
 * Argo CD gives a script neither `string` nor `math`, and answers for objects that are being deleted without asking it.
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
${meanings.map((pair) => `  { ${pair.map((word) => `"${word}"`).join(', ')} },`).join('\n')}
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
 * The entries of `argocd-cm` that give Argo CD 2.1 and newer a health check for each kind, for those who keep that config
 * map themselves. There is one key a kind because that form alone merges: a wildcard (`hydrogen.dev/*`) is only read
 * within the key `resource.customizations`, a single text that can have a single author.
 */
export function argoHealthData(): Readonly<Record<string, string>> {
  const [group = ''] = apiVersion.split('/');
  const entries = Object.keys(kinds).map((kind) => [`resource.customizations.health.${group}_${kind}`, script]);
  return Object.fromEntries(entries);
}

/**
 * `argocd-cm` with the health checks and nothing else. Apply it on the server's side and as a field manager of its own,
 * so that it is merged into the config map that is there:
 * `kubectl apply --server-side --field-manager=hydrogen-health -f FILE`. Where Argo CD manages itself, put
 * {@link argoHealthData} into its own `argocd-cm` instead: two Applications are one and the same field manager, and each
 * would take away what the other has set.
 */
export class HydrogenArgoHealth extends Construct {
  constructor(scope: Construct, id: string, { namespace = defaultArgoNamespace }: HydrogenArgoHealthProps = {}) {
    super(scope, id);
    const name = 'argocd-cm';
    // Argo CD reads no config map without the second label.
    const labels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/part-of': 'argocd' };
    new k8s.KubeConfigMap(this, 'ConfigMap', { metadata: { name, namespace, labels }, data: argoHealthData() });
  }
}
