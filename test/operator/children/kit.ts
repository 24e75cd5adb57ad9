/** Three gateways of an earlier release, for a new one. */

import { eventually } from '../../kit/eventually.ts';
import { type Any, type FakeApi, startFakeApi } from '../kit/api.ts';
import { condition, gateway, group, startOperator, type TestOperator } from '../kit/operator.ts';

export const names = ['a', 'b', 'c'];
export const named = (name: string, more: Any = {}): Any => ({
  ...gateway(more),
  metadata: { name, namespace: 'shop' },
});
export const imageOf = (api: FakeApi, name: string): string =>
  api.get('deployments', `${name}-gateway`).spec.template.spec.containers[0].image;
export const images = (api: FakeApi): string => names.map((name) => imageOf(api, name)).join();

/** Reports a rollout like the deployment controller: complete, or half done. */
export function report(api: FakeApi, name: string, existing = 1): void {
  const { metadata } = api.get('deployments', `${name}-gateway`);
  const counts = { replicas: existing, readyReplicas: 1, availableReplicas: 1, updatedReplicas: 1 };
  const status = { observedGeneration: metadata.generation, ...counts };
  api.put('deployments', { metadata: { name: `${name}-gateway`, namespace: 'shop' }, status });
}

/** A cluster in which an operator of an earlier release has created three gateways. */
export async function startReleased(): Promise<FakeApi> {
  const api = await startFakeApi();
  api.put('hydrogengroups', group());
  for (const name of names) api.put('hydrogengateways', named(name));
  await using _ = startOperator(api.kubeconfig, { image: 'release:1' });
  await eventually(() => names.every((name) => api.get('deployments', `${name}-gateway`) !== undefined));
  for (const name of names) report(api, name);
  await eventually(() =>
    names.every((name) => condition(api.get('hydrogengateways', name), 'RollingOut')?.reason === 'RolledOut'),
  );
  return api;
}

/** Resolves when one gateway has the new image and the others wait for it. */
export async function begun(api: FakeApi, { operator }: TestOperator): Promise<void> {
  await eventually(() => images(api).includes('release:2') && operator.rollouts.waiting === 2);
}
