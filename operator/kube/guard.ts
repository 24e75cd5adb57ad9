/** Writes only while we may: an operator that was suspended must not finish what another one has taken over. */

import type { Kube } from './client.ts';
import { ApiError } from './errors.ts';

/** The same client, whose writes are rejected while `mayWrite` says no. */
export function guarded(kube: Kube, mayWrite: () => boolean): Kube {
  const guard = <A extends unknown[], R>(write: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return async (...args) => {
      if (mayWrite()) return write(...args);
      throw new ApiError(0, 'the lease has run out');
    };
  };
  return {
    ...kube,
    apply: guard(kube.apply),
    create: guard(kube.create),
    replace: guard(kube.replace),
    merge: guard(kube.merge),
    delete: guard(kube.delete),
  };
}
