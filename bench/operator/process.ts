/** The operator of the benchmark as it ships: built, with the environment of its own Deployment, in a process of its own. */

import { execFileSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';

import { freePortBase } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';
import { shipped } from '../shipped.ts';

/** The command of a checkout as it ships, and the flags and environment that the operator's Deployment sets. */
export interface OperatorImage {
  readonly command: string;
  /** Flags of Node. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Figures from the metrics of the operator. */
export interface OperatorFigures {
  /** Requests by verb; those of the lease are counted as `lease`. */
  readonly calls: Readonly<Record<string, number>>;
  /** Reconciliations of custom resources. */
  readonly reconciles: number;
  readonly isAtRest: boolean;
  readonly heapBytes: number;
}

export interface OperatorProcess extends AsyncDisposable {
  readonly process: BenchProcess;
  figures(): Promise<OperatorFigures>;
}

/** A checkout as it ships, and what the Deployment of its operator sets. */
export async function shipOperator(checkout: string): Promise<OperatorImage> {
  const { command } = await shipped(checkout);
  return { command, ...operatorSettings(command) };
}

/** Resolves when its probes answer; its first lists may still be under way. */
export async function startOperatorProcess(
  { command, flags, env }: OperatorImage,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<OperatorProcess> {
  const port = await freePortBase();
  const options = ['--probe-port', `${port}`, '--host', '127.0.0.1', '--lease-namespace', 'hydrogen-system'];
  const child = startBenchProcess('operator', process.execPath, [...flags, command, 'operator', ...options, ...args], {
    NODE_ENV: 'production',
    ...env,
    ...more,
  });
  await child.answers(`http://127.0.0.1:${port}/livez`);
  return {
    process: child,
    figures: async () => {
      // On a connection of its own: the server may be closing an idle one.
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { connection: 'close' } });
      return figuresOf(await response.text());
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

function operatorSettings(command: string): Pick<OperatorImage, 'flags' | 'env'> {
  const text = execFileSync(process.execPath, [command, 'manifests'], {
    encoding: 'utf8',
    maxBuffer: 16 * 1024 * 1024,
  });
  const objects = parseAllDocuments(text).map((document) => document.toJS());
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  const [container] = deployment.spec.template.spec.containers;
  const env: { name: string; value?: string }[] = container.env;
  return {
    // A checkout older than the flags has none.
    flags: container.command?.slice(1, -1) ?? [],
    env: Object.fromEntries(env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]))),
  };
}

function figuresOf(text: string): OperatorFigures {
  const calls: Record<string, number> = {};
  let reconciles = 0;
  const single: Record<string, number> = {};
  for (const [, name = '', labels = '', value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const label = (key: string): string => new RegExp(`${key}="([^"]*)"`).exec(labels)?.[1] ?? '';
    if (name === 'hydrogen_operator_api_calls_total') {
      const verb = label('resource') === 'leases' ? 'lease' : label('verb');
      calls[verb] = (calls[verb] ?? 0) + Number(value);
    } else if (name === 'hydrogen_operator_reconciles_total') reconciles += Number(value);
    else single[name] = Number(value);
  }
  return {
    calls,
    reconciles,
    isAtRest: single.hydrogen_operator_queue_depth === 0,
    heapBytes: single.nodejs_heap_size_used_bytes ?? Number.NaN,
  };
}
