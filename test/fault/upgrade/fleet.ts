/** The gateways and processors of a run, each of this tree or of an older commit, on one nats-server. */

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { everythingTo } from '../../kit/documents.ts';
import {
  type ConfiguredProcess,
  type GatewayProcess,
  root,
  startGatewayProcess,
  startMprocProcess,
} from '../../kit/hydrogen.ts';

export type Release = 'old' | 'new';

export interface Checkout extends AsyncDisposable {
  /** Its `hydrogen.js`. */
  readonly command: string;
}

/** A working tree of a commit, which is removed at disposal. */
export async function checkOut(commit: string): Promise<Checkout> {
  const directory = await mkdtemp(join(tmpdir(), 'hydrogen-upgrade-'));
  const tree = join(directory, 'tree');
  execFileSync('git', ['worktree', 'add', '--detach', tree, commit], { cwd: root, stdio: 'pipe' });
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
  return {
    command: join(tree, 'cli/hydrogen.js'),
    [Symbol.asyncDispose]: async () => {
      execFileSync('git', ['worktree', 'remove', '--force', tree], { cwd: root, stdio: 'pipe' });
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export class Fleet implements AsyncDisposable {
  readonly gateways: GatewayProcess[] = [];
  readonly processors: ConfiguredProcess[] = [];
  readonly #natsUrl: string;
  readonly #destinationUrl: string;
  readonly #commands: Readonly<Record<Release, string>>;

  readonly #delivery: Readonly<Record<string, unknown>>;

  /** @param delivery fields of the processors' `delivery` */
  constructor(
    natsUrl: string,
    destinationUrl: string,
    oldCommand: string,
    delivery: Readonly<Record<string, unknown>>,
  ) {
    this.#delivery = delivery;
    this.#natsUrl = natsUrl;
    this.#destinationUrl = destinationUrl;
    this.#commands = { old: oldCommand, new: join(root, 'cli/hydrogen.js') };
  }

  startGateway(release: Release): Promise<GatewayProcess> {
    const spec = { drain: { periodSeconds: 1 } };
    return startGatewayProcess({ ...this.#member(release), spec });
  }

  startProcessor(release: Release): Promise<ConfiguredProcess> {
    const delivery = { backoffSeconds: [1], maxAttempts: 8, ...this.#delivery };
    return startMprocProcess({
      ...this.#member(release),
      spec: { routing: everythingTo(this.#destinationUrl), delivery },
    });
  }

  /** As a rolling update does: the new one is ready before the old one is stopped. */
  async replaceProcessor(index: number, release: Release): Promise<void> {
    const before = this.processors[index];
    this.processors[index] = await this.startProcessor(release);
    await end(before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.gateways, ...this.processors];
    await Promise.all(all.map((one) => one[Symbol.asyncDispose]()));
  }

  #member(release: Release) {
    const group = { name: 'upgrade', natsUrl: this.#natsUrl };
    return { name: 'upgrade', group, command: this.#commands[release] };
  }
}

/** Stops it as Kubernetes does, and waits for its end. */
export async function end(one: ConfiguredProcess | undefined): Promise<void> {
  if (one === undefined) return;
  one.kill('SIGTERM');
  const code = await one.exited;
  if (code !== 0) throw new Error(`it ended with ${code}:\n${one.output().slice(-4000)}`);
  await one[Symbol.asyncDispose]();
}
