/** The container images that manifests name when a user names none, and how a process starts in them. */

/** What the image of hydrogen runs, as its recipe says: a program, and the script that it starts. */
export const entryPoint = { program: 'node', script: '/app/cli/hydrogen.js' } as const;

/** The image of this release of hydrogen; its tag is the version of the package. */
export const defaultImage = 'ghcr.io/hydrogen-gateway/hydrogen:0.1.0';

/** The NATS server that a group with `nats.managed` runs. */
export const natsImage = 'docker.io/library/nats:2.14.9-alpine';
