/** What runs when a container of an image is started: there are no images here, only programs of this machine. */

import { join } from 'node:path';

import { env, paths } from '../../../crds/contract.ts';
import { entryPoint } from '../../../infra/image.ts';
import { root } from '../hydrogen.ts';

/** Where a process finds itself. */
export interface Surroundings {
  /** The address that it shall listen on: that of its pod. */
  readonly address: string;
  readonly namespace: string;
  /** A file that says where services are, for the preload in service-names.ts. */
  readonly servicesFile: string;
  /** Where on this machine a path of the container is. */
  localPath(path: string): string;
  /** The address of a pod of the same namespace. */
  addressOf(pod: string): string;
}

/** A program in the place of an image. */
export interface Image {
  /** What the entry point of the image is called, also when a hook runs it. */
  readonly command: string;
  readonly argv: readonly string[];
  /** The script that a command may run with Node and flags of its own, in place of the entry point. */
  readonly script?: string;
  /** Arguments that make it a process of its pod. */
  args?(surroundings: Surroundings): readonly string[];
  /** Variables that do. */
  env?(surroundings: Surroundings): Readonly<Record<string, string>>;
  /** What it reads from config maps, for where it is. */
  adapt?(text: string, surroundings: Surroundings): string;
}

/** Programs by image. A container of any other image says that it cannot be pulled. */
export type Images = ReadonlyMap<string, Image>;

const preload = new URL('./service-names.ts', import.meta.url).href;

/** This tree's hydrogen. */
export const hydrogenImage: Image = {
  command: 'hydrogen',
  argv: [process.execPath, `--import=${preload}`, join(root, 'cli/hydrogen.js')],
  script: entryPoint.script,
  args: ({ address }) => ['--host', address],
  env: ({ localPath, namespace, servicesFile }) => ({
    [env.secretsDir]: localPath(paths.secrets),
    // What was compiled for one pod is there for the next: a start costs a third less.
    NODE_COMPILE_CACHE: join(root, '.cache/node'),
    KUBELET_NAMESPACE: namespace,
    KUBELET_SERVICES: servicesFile,
  }),
};

/** A nats-server at this path. It asks the system for names, which knows none of the cluster: addresses take their place. */
export function natsImage(binary: string): Image {
  return {
    command: 'nats-server',
    argv: [binary],
    args: ({ address }) => ['--addr', address],
    adapt: (text, { address, addressOf }) =>
      text
        .replace(/^cluster \{$/m, `cluster {\n  host: "${address}"`)
        .replaceAll(/([a-z0-9-]+)\.[a-z0-9-]+\.[a-z0-9-]+\.svc\b/g, (_, pod: string) => addressOf(pod)),
  };
}
