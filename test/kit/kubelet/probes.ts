/** Probes of a container, with the counting of a kubelet: one answer turns nothing, a row of them does. */

import { setTimeout as delay } from 'node:timers/promises';

import type { Container, Probe } from './objects.ts';

export interface ProbeTarget {
  readonly address: string;
  readonly ports: Container['ports'];
}

export interface ProbeTiming {
  /** By how much the periods are divided; the time that an answer may take stays as it is. */
  readonly speed: number;
  readonly signal: AbortSignal;
}

/** Probes until `signal` is aborted; `onTurn` is called with each answer that completes a row. */
export async function runProbe(
  probe: Probe,
  target: ProbeTarget,
  { speed, signal }: ProbeTiming,
  onTurn: (isGood: boolean) => void,
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = 10, successThreshold = 1, failureThreshold = 3 } = probe;
  const wait = (seconds: number): Promise<void> =>
    delay((seconds * 1000) / speed, undefined, { signal }).catch(() => undefined);
  let row = { isGood: true, length: 0 };
  await wait(initialDelaySeconds);
  while (!signal.aborted) {
    const isGood = await isAnswered(probe, target);
    row = isGood === row.isGood ? { isGood, length: row.length + 1 } : { isGood, length: 1 };
    if (signal.aborted) return;
    if (row.length >= (isGood ? successThreshold : failureThreshold)) onTurn(isGood);
    await wait(periodSeconds);
  }
}

async function isAnswered({ httpGet, timeoutSeconds = 1 }: Probe, { address, ports }: ProbeTarget): Promise<boolean> {
  if (httpGet === undefined) throw new Error('the kubelet of the tests knows only probes with httpGet');
  const { path = '/', port } = httpGet;
  const number = typeof port === 'number' ? port : ports?.find(({ name }) => name === port)?.containerPort;
  try {
    const answer = await fetch(`http://${address}:${number}${path}`, {
      redirect: 'manual',
      headers: { 'user-agent': 'kube-probe/test', connection: 'close' },
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    await answer.body?.cancel();
    return answer.status >= 200 && answer.status < 400;
  } catch {
    return false;
  }
}
