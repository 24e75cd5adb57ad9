/** Whether the pods of a gateway or message processor run the configuration that was applied last, by their own account. */
import type { ConfigurationFacts, Facts } from './facts.ts';

/** What the reports of pods amount to. */
export interface ConfigurationState {
  /** Pods that run what was applied last. */
  readonly current: number;
  /** Pods that run something else, and have not refused what was applied last. */
  readonly earlier: number;
  /** Pods that have refused it, with their words. */
  readonly refusals: readonly { readonly pod: string; readonly problem: string }[];
  /** Ready pods of which nothing is known. */
  readonly silent: number;
}

export function configurationState(
  { wanted, pods }: Extract<ConfigurationFacts, { state: 'known' }>,
  workload: Facts['workload'],
): ConfigurationState {
  const others = pods.filter(({ digest }) => digest !== wanted);
  const refusals = others.flatMap(({ pod, refused }) =>
    refused?.digest === wanted ? [{ pod, problem: refused.problem }] : [],
  );
  return {
    current: pods.length - others.length,
    earlier: others.length - refusals.length,
    refusals,
    silent: Math.max(0, (workload?.ready ?? 0) - pods.length),
  };
}
