/** The status of a pod, and how it gets to the API server. */

import { setTimeout as delay } from 'node:timers/promises';

import type { ApiClient } from '../apiserver-client.ts';
import type { ContainerProcess } from './container.ts';
import type { Pod, PodCondition } from './objects.ts';

interface PodFacts {
  readonly address: string;
  readonly nodeAddress: string;
  readonly startTime: string;
  readonly containers: readonly ContainerProcess[];
  /** True once it was asked to stop and its processes are gone. */
  readonly isOver: boolean;
  /** The conditions as they were reported last. */
  readonly before: readonly PodCondition[];
  readonly now: string;
}

interface PodStatus {
  readonly phase: string;
  readonly conditions: readonly PodCondition[];
  readonly [field: string]: unknown;
}

export interface StatusReporterOptions {
  readonly pod: Pod;
  readonly server: ApiClient;
  /** Aborted: nothing more is reported. */
  readonly signal: AbortSignal;
  /** Addresses as the API knows them. */
  readonly address: string;
  readonly nodeAddress: string;
  readonly of: readonly ContainerProcess[];
}

/** Reports the status of one pod; of changes in quick succession the last one is sent. */
export class StatusReporter {
  readonly #options: StatusReporterOptions;
  readonly #startTime = now();
  #conditions: readonly PodCondition[];
  #isOver = false;
  #reported = '';
  #reporting: Promise<void> | undefined;

  constructor(options: StatusReporterOptions) {
    this.#options = options;
    this.#conditions = options.pod.status?.conditions ?? [];
  }

  report(): void {
    this.#reporting ??= this.#send();
  }

  /** Resolves when the API server knows that the processes of the pod are gone. */
  async reportEnd(): Promise<void> {
    this.#isOver = true;
    await this.#reporting;
    this.report();
    await this.#reporting;
  }

  /** Sends until the last status that was sent is the present one. */
  async #send(): Promise<void> {
    const { pod, server, signal, address, nodeAddress, of: containers } = this.#options;
    await undefined; // it must not end before `#reporting` is set
    for (;;) {
      const facts = { address, nodeAddress, startTime: this.#startTime, containers, isOver: this.#isOver };
      const status = podStatusOf({ ...facts, before: this.#conditions, now: now() });
      const text = JSON.stringify(status);
      if (text === this.#reported || signal.aborted) break;
      this.#reported = text;
      this.#conditions = status.conditions;
      const body = { metadata: { uid: pod.metadata.uid }, status };
      const headers = { 'content-type': 'application/strategic-merge-patch+json' };
      await persist(server, signal, 'PATCH', podPath(pod, '/status'), body, headers);
    }
    this.#reporting = undefined;
  }
}

/** `status` of the pod. */
function podStatusOf(facts: PodFacts): PodStatus {
  const { address, nodeAddress, startTime, containers } = facts;
  return {
    phase: phaseOf(facts),
    conditions: conditionsOf(facts),
    hostIP: nodeAddress,
    podIP: address,
    podIPs: [{ ip: address }],
    startTime,
    containerStatuses: containers.map(({ name, image, state, lastState, isReady, hasStarted, restartCount }) => ({
      name,
      image,
      imageID: '',
      ready: isReady,
      started: hasStarted,
      restartCount,
      state,
      ...(lastState && { lastState }),
    })),
  };
}

function phaseOf({ containers, isOver }: PodFacts): string {
  const states = containers.map(({ state }) => state);
  if (isOver) {
    return states.every((state) => 'terminated' in state && state.terminated.exitCode === 0) ? 'Succeeded' : 'Failed';
  }
  const hasRun = ({ state, restartCount }: ContainerProcess): boolean => restartCount > 0 || !('waiting' in state);
  return containers.length > 0 && containers.every(hasRun) ? 'Running' : 'Pending';
}

function conditionsOf({ containers, before, now }: PodFacts): PodCondition[] {
  const unready = containers.filter(({ isReady }) => !isReady).map(({ name }) => name);
  const isReady = containers.length > 0 && unready.length === 0;
  const why = { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const readiness = isReady ? ({ status: 'True' } as const) : ({ status: 'False', ...why } as const);
  const conditions: PodCondition[] = [
    { type: 'PodScheduled', status: 'True' },
    { type: 'Initialized', status: 'True' },
    { type: 'ContainersReady', ...readiness },
    { type: 'Ready', ...readiness },
  ];
  return conditions.map((condition) => {
    const known = before.find(({ type }) => type === condition.type);
    const isSame = known?.status === condition.status && known.lastTransitionTime !== undefined;
    return { ...condition, lastTransitionTime: isSame ? known.lastTransitionTime : now };
  });
}

const retryMs = 200;

/** Calls the API server until it takes the call, or says that it never will: the pod is gone, or is another. */
export async function persist(
  client: ApiClient,
  signal: AbortSignal,
  ...call: Parameters<ApiClient['call']>
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { status, body } = await client.call(...call);
      if (status < 300 || status === 404 || status === 409) return;
      if (status < 500 && status !== 429)
        throw new RangeError(`${call[0]} ${call[1]}: ${status} ${JSON.stringify(body)}`);
    } catch (error) {
      if (error instanceof RangeError) throw error;
    }
    await delay(retryMs, undefined, { signal }).catch(() => undefined);
  }
}

/** API path of a pod or of its subresource. */
export function podPath({ metadata }: Pod, part = ''): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}${part}`;
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
