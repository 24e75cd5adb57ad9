/** The phases that all kinds share. */
import type { Plan } from '../children/children.ts';
import type { AnyScope, End, Tools } from './scope.ts';

/** How often a removal checks whether the namespace is being deleted: namespaces are not watched. */
export const removalPollMs = 11_000;

/** From now on, a change of a secret that the object refers to causes a reconciliation. */
export function referToSecrets({ key, namespace, secretRefs }: AnyScope, { secrets }: Tools): undefined {
  secrets.refer(key, namespace, secretRefs);
}

/** An invalid specification changes nothing. */
export function refuseInvalid(scope: AnyScope, { rollouts }: Tools): End | undefined {
  if (scope.issues === undefined) return undefined;
  rollouts.leave(scope.key);
  scope.found({ issues: scope.issues });
  return 'report';
}

export async function checkSecrets(scope: AnyScope, { secrets }: Tools): Promise<undefined> {
  scope.found({ missingSecrets: await secrets.missing(scope.namespace, scope.secretRefs) });
}

/** Whether the object is waiting for a secret. */
export function isSecretMissing({ facts }: AnyScope): boolean {
  return (facts.missingSecrets ?? []).length > 0;
}

/** Applies the children; while paused, it only determines what applying them would change. */
export async function applyChildren(scope: AnyScope, plan: Plan, { children, rollouts }: Tools): Promise<undefined> {
  const { object, key, pausedBy } = scope;
  if (pausedBy === undefined && !isSecretMissing(scope)) {
    const made = await children.make(object, plan);
    scope.found(made.facts);
    scope.again(made.again);
    return;
  }
  rollouts.leave(key);
  if (pausedBy !== undefined) scope.found({ pausedBy, ...children.inspect(object, plan) });
}
