/** The phases that all kinds have. */
import type { Plan } from '../children/children.ts';
import type { AnyScope, End, Tools } from './scope.ts';

/** How often a removal asks whether the namespace is being deleted, which is not watched. */
export const removalPollMs = 11_000;

/** A change of a secret that the object names brings the object back. */
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

/** Whether it waits for a secret. */
export function isSecretMissing({ facts }: AnyScope): boolean {
  return (facts.missingSecrets ?? []).length > 0;
}

/** Applies the children; while paused it only finds out what applying them would change. */
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
