/** Programs of this machine that run in the place of images. */

import { dirname, join } from 'node:path';

import { env, paths } from '../../../crds/contract.ts';
import { entryPoint } from '../../../infra/image.ts';
import { root } from '../hydrogen.ts';

/** The environment of a process in a pod. */
export interface Surroundings {
  /** The address of its pod, to listen on. */
  readonly address: string;
  readonly namespace: string;
  /** The file with addresses of services, for the preload in service-names.ts. */
  readonly servicesFile: string;
  /** The path on this machine of a path in the container. */
  localPath(path: string): string;
  /** The address of a pod of the same namespace. */
  addressOf(pod: string): string;
}

/** A program in the place of an image. */
export interface Image {
  /** Name of the image's entry point, which hooks run too. */
  readonly command: string;
  readonly argv: readonly string[];
  /** Whether its pods may run `sh`, which finds the entry point by its name. */
  readonly hasShell?: boolean;
  /** The script that a command may run with Node and flags of its own, in place of the entry point. */
  readonly script?: string;
  /** Flags of the entry point, which such a command does without. */
  readonly flags?: readonly string[];
  /** Further arguments for its pod. */
  args?(surroundings: Surroundings): readonly string[];
  /** Further variables for its pod. */
  env?(surroundings: Surroundings): Readonly<Record<string, string>>;
  /** Adapts the text of config maps to this machine. */
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
  flags: entryPoint.flags,
  args: ({ address }) => ['--host', address],
  env: ({ localPath, namespace, servicesFile }) => ({
    [env.secretsDir]: localPath(paths.secrets),
    // Pods share compiled code, which makes a start a third cheaper.
    NODE_COMPILE_CACHE: join(root, '.cache/node'),
    KUBELET_NAMESPACE: namespace,
    KUBELET_SERVICES: servicesFile,
  }),
};

/** A hydrogen that does not know the field `authorizer` of a gateway yet. */
export const earlierHydrogenImage: Image = {
  ...hydrogenImage,
  argv: [
    process.execPath,
    `--import=${preload}`,
    `--import=${new URL('./earlier-release.ts', import.meta.url).href}`,
    join(root, 'cli/hydrogen.js'),
  ],
};

/** A nats-server at this path. It resolves names through the system, which knows none of the cluster, so addresses replace them. */
export function natsImage(binary: string): Image {
  return {
    command: 'nats-server',
    argv: [binary],
    hasShell: true,
    env: () => ({ PATH: `${dirname(binary)}:${process.env.PATH}` }),
    args: ({ address }) => ['--addr', address],
    adapt: (text, { address, addressOf }) =>
      text
        // Secrets are mounted at once here.
        .replace(/^delay=\d+$/m, 'delay=3')
        .replace(/^poll=\d+$/m, 'poll=1')
        .replace(/^cluster \{$/m, `cluster {\n  host: "${address}"`)
        .replaceAll(/([a-z0-9-]+)\.[a-z0-9-]+\.[a-z0-9-]+\.svc\b/g, (_, pod: string) => addressOf(pod)),
  };
}
