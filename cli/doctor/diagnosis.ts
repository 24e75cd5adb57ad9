/** What the doctor says about one thing that it examined. */

/** `warning`: works, and may not for long. `unchecked`: could not be examined from here, which says nothing about it. */
export type Assessment = 'ok' | 'warning' | 'problem' | 'unchecked';

/** One thing that was examined. */
export interface Diagnosis {
  readonly health: Assessment;
  /** The objects that need it, such as `HydrogenGateway/chat`. */
  readonly objects: readonly string[];
  /** What was examined, such as `authorizer http://auth.example.com/`. */
  readonly subject: string;
  /** What was found, and for a problem its cause: one sentence. */
  readonly message: string;
  /** What to do about it. */
  readonly cure?: string;
}

/** How many diagnoses there are of each health. */
export function countByAssessment(diagnoses: readonly Diagnosis[]): Readonly<Record<Assessment, number>> {
  const count = (health: Assessment): number => diagnoses.filter((one) => one.health === health).length;
  return { ok: count('ok'), warning: count('warning'), problem: count('problem'), unchecked: count('unchecked') };
}

/** 0: all is well, warnings included. 1: there are problems. 2: there are none, but something could not be examined. */
export function exitCodeOf(diagnoses: readonly Diagnosis[]): 0 | 1 | 2 {
  const { problem, unchecked } = countByAssessment(diagnoses);
  if (problem > 0) return 1;
  return unchecked > 0 ? 2 : 0;
}
