/** The configuration file of the NATS servers that a group runs. */
import { natsPorts } from '../crds/contract.ts';
import { type HydrogenGroup, parseQuantity } from '../crds/index.ts';
import { natsNames } from './names.ts';

/** Paths in the servers' containers. */
export const natsPaths = {
  config: '/etc/nats/nats.conf',
  data: '/data',
  run: '/var/run/nats',
  /** The token of the group, as the secret is mounted. */
  token: '/etc/nats-token/token',
  /** The script that adds the token to the configuration and starts the server. */
  start: '/etc/nats/start.sh',
  /** The configuration with the token. */
  configWithToken: '/var/run/nats/nats.conf',
} as const;

/** Variables that the configuration reads. */
export const natsEnv = {
  /** Name of the pod, which is also the server's name. */
  pod: 'POD_NAME',
} as const;

/** Maximum message size, the largest that NATS recommends: a client message with its context must fit. */
const maxPayloadBytes = 8 * 1024 * 1024;

/** Seconds over which a stopping server moves its clients to the other servers: the minimum that NATS allows. */
const lameDuckSeconds = 30;

/**
 * Bytes that JetStream may use beyond the size of the volume. The limits of the two streams may add up to the whole
 * volume and are reserved in full; the lease bucket has no limit of its own and would be refused if there were no
 * space left.
 */
const leaseBytes = 1024 * 1024;

/** Seconds from SIGTERM to SIGKILL. */
export const natsGraceSeconds = lameDuckSeconds + 30;

/** The configuration file, the same for every server of the group. */
export function natsConfig({ metadata }: HydrogenGroup, managed: Managed): string {
  const { name, namespace } = metadata;
  return [
    `server_name: $${natsEnv.pod}`,
    `port: ${natsPorts.client}`,
    `http_port: ${natsPorts.monitor}`,
    `pid_file: "${natsPaths.run}/nats.pid"`,
    `max_payload: ${maxPayloadBytes}`,
    `lame_duck_grace_period: "5s"`,
    `lame_duck_duration: "${lameDuckSeconds}s"`,
    'jetstream {',
    `  store_dir: "${natsPaths.data}"`,
    `  max_file_store: ${parseQuantity(managed.storage.size) + leaseBytes}`,
    ...(managed.sync === 'Always' ? ['  sync_interval: always'] : []),
    '}',
    ...(managed.replicas > 1 ? cluster(name, namespace, managed.replicas) : []),
    '',
  ].join('\n');
}

/** The field `spec.nats.managed`. */
export type Managed = NonNullable<HydrogenGroup['spec']['nats']['managed']>;

function cluster(group: string, namespace: string, replicas: number): string[] {
  const { workload, headless } = natsNames(group);
  const routes = Array.from(
    { length: replicas },
    (_, index) => `    "nats://${workload}-${index}.${headless}.${namespace}.svc:${natsPorts.cluster}"`,
  );
  return [
    'cluster {',
    `  name: "${namespace}_${group}"`,
    `  port: ${natsPorts.cluster}`,
    '  no_advertise: true',
    '  connect_retries: 120',
    '  routes: [',
    ...routes,
    '  ]',
    '}',
  ];
}
