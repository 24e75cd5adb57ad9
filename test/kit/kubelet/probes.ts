/** Probes of a container, with the counting of a kubelet: one answer turns nothing, a row of them does. */

import { once } from 'node:events';
import { connect } from 'node:net';
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

async function isAnswered({ httpGet, tcpSocket, timeoutSeconds = 1 }: Probe, target: ProbeTarget): Promise<boolean> {
  const signal = AbortSignal.timeout(timeoutSeconds * 1000);
  if (httpGet) return isGoodAnswer(`http://${target.address}:${portOf(httpGet, target)}${httpGet.path ?? '/'}`, signal);
  if (tcpSocket) return isOpen(target.address, portOf(tcpSocket, target), signal);
  throw new Error('the kubelet of the tests knows only probes with httpGet and tcpSocket');
}

function portOf({ port }: { readonly port: number | string }, { ports }: ProbeTarget): number {
  return typeof port === 'number' ? port : (ports?.find(({ name }) => name === port)?.containerPort ?? 0);
}

async function isGoodAnswer(url: string, signal: AbortSignal): Promise<boolean> {
  const headers = { 'user-agent': 'kube-probe/test', connection: 'close' };
  try {
    const answer = await fetch(url, { redirect: 'manual', headers, signal });
    await answer.body?.cancel();
    return answer.status >= 200 && answer.status < 400;
  } catch {
    return false;
  }
}

async function isOpen(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect', { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
