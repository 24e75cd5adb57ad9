/** An operator in this process, with timings for tests, and the documents that it is tested with. */

import type { RolloutLimit } from '../../../operator/children/rollouts.ts';
import { createKube } from '../../../operator/kube/client.ts';
import { createOperatorLog } from '../../../operator/log.ts';
import { createOperatorMetrics, type OperatorMetrics } from '../../../operator/metrics.ts';
import { Operator, type OperatorTiming } from '../../../operator/operator.ts';
import { createLogger } from '../../../process/logger.ts';
import { gatewayDocument, groupDocument, processorDocument } from '../../kit/documents.ts';
import type { Any, Fault, Seen } from './api.ts';

export interface TestOperator extends AsyncDisposable {
  readonly operator: Operator;
  readonly metrics: OperatorMetrics;
  /** The parsed lines that it logged. */
  readonly lines: Any[];
}

export interface TestOperatorOptions {
  readonly namespace?: string;
  readonly timing?: OperatorTiming;
  readonly lease?: { readonly identity: string; readonly namespace?: string };
  readonly onLost?: () => void;
  readonly image?: string;
  readonly rolloutLimit?: RolloutLimit;
}

export function startOperator(kubeconfig: string, options: TestOperatorOptions = {}): TestOperator {
  const lines: Any[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line));
  let operator: Operator | undefined;
  const metrics = createOperatorMetrics({
    queueDepth: () => operator?.queueDepth ?? 0,
    isLeading: () => operator?.isLeading ?? false,
    rollouts: () => operator?.rollouts ?? { running: 0, waiting: 0, holders: [] },
  });
  const kube = createKube({ kubeconfig, onCall: metrics.called });
  operator = new Operator({
    kube,
    log: createOperatorLog(createLogger({ level: 'debug', destination: { write } })),
    metrics,
    namespace: options.namespace,
    image: options.image,
    rolloutLimit: options.rolloutLimit,
    instance: 'operator-1',
    lease: options.lease && { namespace: 'shop', name: 'hydrogen-operator', ...options.lease },
    onLost: options.onLost ?? (() => undefined),
    timing: { collectMs: 5, watchRetryMs: 5, ...options.timing },
  });
  operator.start();
  const running = operator;
  return {
    operator,
    metrics,
    lines,
    [Symbol.asyncDispose]: async () => {
      await running.stop();
      kube.close();
    },
  };
}

/** Number of calls to the API server with these labels so far. */
export async function callsOf(
  { metrics }: TestOperator,
  wanted: { readonly verb?: string; readonly resource?: string; readonly status?: string } = {},
): Promise<number> {
  const { values = [] } = (await metrics.registry.getSingleMetric('hydrogen_operator_api_calls_total')?.get()) ?? {};
  const counted = values.filter(({ labels }) =>
    Object.entries(wanted).every(([name, value]) => labels[name] === value),
  );
  return counted.reduce((sum, { value }) => sum + value, 0);
}

const shop = { namespace: 'shop' };

/** A group; without a server, nothing answers at its address. */
export const group = (server = 'nats://127.0.0.1:1', more: Any = {}): Any =>
  groupDocument({ nats: { servers: [server] }, ...more }, shop);

export const gateway = (more: Any = {}): Any => gatewayDocument(more, shop);

export const processor = (more: Any = {}): Any => processorDocument(more, shop);

/** Acts like a server that does not let the operator see secrets. */
export function hideSecrets({ path }: Seen): Fault | undefined {
  const message =
    'secrets is forbidden: User "system:serviceaccount:hydrogen-system:hydrogen-operator" cannot list resource "secrets" in API group ""';
  return path.includes('/secrets') ? { status: 403, message } : undefined;
}

/** The condition of this type; undefined when the object or the condition is absent. */
export function condition(object: Any, type: string): Any {
  return object?.status?.conditions?.find((one: Any) => one.type === type);
}
