/** The operator of the benchmark as it ships: built, with the environment of its own Deployment, in a process of its own. */

import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import { freePortBase } from '../../test/kit/ports.ts';
import { type BenchProcess, startBenchProcess } from '../processes.ts';

/** A checkout laid out as in its image, and the flags and environment that its Deployment sets. */
export interface Shipped extends AsyncDisposable {
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

/** Builds a checkout and lays it out as its image does, so that nothing is compiled when it starts. */
export async function ship(checkout: string): Promise<Shipped> {
  const folder = await mkdtemp(join(tmpdir(), 'hydrogen-bench-image-'));
  const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'build')];
  execFileSync(process.execPath, compiler, { cwd: checkout, stdio: 'inherit' });
  await mkdir(join(folder, 'cli'));
  for (const path of ['package.json', 'cli/hydrogen.js']) await cp(join(checkout, path), join(folder, path));
  await layPackages(
    join(checkout, 'node_modules'),
    join(folder, 'node_modules'),
    await readFile(join(checkout, 'Dockerfile'), 'utf8'),
  );
  const command = join(folder, 'cli/hydrogen.js');
  return {
    command,
    ...shippedSettings(command),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Resolves when its probes answer; its first lists may still be under way. */
export async function startOperatorProcess(
  { command, flags, env }: Shipped,
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

/** Packages whose code contains source maps, which the image leaves out. */
const mapped: readonly string[] = ['cdk8s', 'cdk8s-plus-28', 'constructs'];
const inlineMap = /^\/\/# sourceMappingURL=data:.*$/gm;

/** Packages as installed, without what the recipe of the image removes and a process would keep in memory. */
async function layPackages(from: string, to: string, recipe: string): Promise<void> {
  await mkdir(to);
  const changed = recipe.includes('sourceMappingURL') ? mapped : [];
  for (const name of await readdir(from)) {
    if (!changed.includes(name)) await symlink(join(from, name), join(to, name));
  }
  for (const name of changed) {
    const filter = (path: string): boolean => !/\.(d\.ts|map|jsii|tgz)$/.test(path);
    await cp(join(from, name), join(to, name), { recursive: true, filter });
    for (const path of await readdir(join(to, name), { recursive: true })) {
      if (!path.endsWith('.js')) continue;
      const file = join(to, name, path);
      await writeFile(file, (await readFile(file, 'utf8')).replace(inlineMap, ''));
    }
  }
}

function shippedSettings(command: string): Pick<Shipped, 'flags' | 'env'> {
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
