/**
 * Refuses writes once leadership has been lost: an operator that was suspended must not continue work that another one
 * has taken over.
 */

import type { Kube } from './client.ts';
import { ApiError } from './errors.ts';

/** The same client, but its writes are rejected while `mayWrite` returns false. */
export function guarded(kube: Kube, mayWrite: () => boolean): Kube {
  const guard = <A extends unknown[], R>(write: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => {
    return async (...args) => {
      if (mayWrite()) return write(...args);
      throw new ApiError(0, 'the lease has expired');
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
