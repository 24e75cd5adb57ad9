/** The default container images, and the entry point of our own. */

/**
 * The entry point of the image, as in the Dockerfile: a program, its flags and the script that it runs. Without the
 * first flag, the young generation of the heap takes up to 128 MiB on machines with much memory; with the second, a process
 * collects once what its start has left.
 */
export const entryPoint = {
  program: 'node',
  flags: ['--max-semi-space-size=16', '--expose-gc'],
  script: '/app/cli/hydrogen.js',
} as const;

/** The image of this release of hydrogen; its tag is the version of the package. */
export const defaultImage = 'ghcr.io/hydrogen-gateway/hydrogen:0.1.0';

/** The NATS server that a group with `nats.managed` runs. */
export const natsImage = 'docker.io/library/nats:2.14.9-alpine';
