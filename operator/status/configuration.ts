/** Whether the pods of a gateway or message processor run the configuration that was applied last, by their own account. */
import { isReasonOf, type ReasonOf } from '../../crds/conditions.ts';
import type { ConfigurationFacts, Facts } from './facts.ts';
import { podSelectorOf } from './workload.ts';

/** What the reports of pods amount to. */
interface ConfigurationState {
  /** Pods that run what was applied last. */
  readonly current: number;
  /** Pods that run something else, and have not refused what was applied last. */
  readonly earlier: number;
  /** Pods that have refused it, with their words. */
  readonly refusals: readonly { readonly pod: string; readonly problem: string }[];
  /** Ready pods of which nothing is known. */
  readonly silent: number;
}

/** Reason and message of the condition. */
export function configuredAs(
  { kind, name, generation, workload }: Facts,
  configuration: ConfigurationFacts,
): readonly [ReasonOf<'Configured'>, string] {
  if (configuration.state === 'asBefore') {
    const { reason = '', message = '', observedGeneration } = configuration.condition ?? {};
    const stillCounts = observedGeneration === generation && isReasonOf('Configured', reason);
    if (stillCounts) return [reason, message];
    return ['NotReported', 'the pods have not been asked yet which configuration they run'];
  }
  const { current, earlier, refusals, silent } = configurationState(configuration, workload);
  const [refusal] = refusals;
  const all = current + earlier + refusals.length + silent;
  const pods = `kubectl logs -l ${podSelectorOf(kind, name)}`;
  if (refusal !== undefined) {
    return [
      'ConfigurationRefused',
      `${refusals.length} of ${all} pods refuse the configuration that was applied last, and run an earlier one; correct the specification, or let pods of an earlier image be replaced first: pod ${refusal.pod} says: ${refusal.problem}; see ${pods}`,
    ];
  }
  if (earlier > 0) {
    return [
      'PodsConfiguring',
      `${earlier} of ${all} pods still run an earlier configuration; each takes over the new one once its kubelet has brought it, within about a minute; if it stays so, see ${pods}`,
    ];
  }
  if (silent === all && silent > 0) {
    return [
      'NotReported',
      'no pod says which configuration it runs: they are of an earlier release, or NATS does not let them publish; Ready does not depend on it',
    ];
  }
  if (silent > 0) {
    return [
      'PodsSilent',
      `${silent} of ${all} pods do not answer the question which configuration they run; if it stays so, see ${pods}`,
    ];
  }
  return ['Configured', 'every pod runs the configuration that was applied last'];
}

function configurationState(
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
