/**
 * The contract between the process in a pod and the manifests around it: ports, paths, environment variables, names and
 * the time to stop. `runtime/` and `infra/` meet here and nowhere else.
 */

/** Container ports, the same in every pod. `management` is never put behind an ingress. */
export const ports = { client: 8080, management: 8081, probes: 9090 } as const;

/** HTTP paths on the probe port. */
export const probePaths = { live: '/livez', ready: '/readyz', metrics: '/metrics' } as const;

/** Where a pod finds its files. `secrets/<secret name>/<key>` holds the value of each referenced secret key. */
export const paths = { config: '/etc/hydrogen/config/hydrogen.yaml', secrets: '/etc/hydrogen/secrets' } as const;

/** Environment variables that the process reads. */
export const env = {
  /** Base URL of the group's management API as destinations can reach it, for the header `hydrogen-callback`. */
  callbackUrl: 'HYDROGEN_CALLBACK_URL',
  /** Directory of mounted secrets, default `/etc/hydrogen/secrets`. */
  secretsDir: 'HYDROGEN_SECRETS_DIR',
  /** File with the token of the management API, for `hydrogen connections`. */
  tokenFile: 'HYDROGEN_TOKEN_FILE',
  /** `fatal`, `error`, `warn`, `info` (default), `debug` or `trace`. */
  logLevel: 'HYDROGEN_LOG_LEVEL',
} as const;

/** Seconds that a gateway may take to stop once its drain period is over: see `gatewayGraceSeconds`. */
export const gatewayStopSeconds = 15;

/** Seconds that a message processor may take to stop on top of its longest delivery: see `processorGraceSeconds`. */
export const processorStopSeconds = 15;

/** The API group and version of every kind. */
export const apiVersion = 'hydrogen.dev/v1alpha1';

/** The namespace of a document that names none. */
export const defaultNamespace = 'default';

/** Name of a group on the bus. Kubernetes names contain no underscores, so no two groups share a name. */
export function busGroup(namespace: string, name: string): string {
  return `${namespace}_${name}`;
}

/** Ports of a NATS server that hydrogen runs for a group: clients, monitoring, the other servers. */
export const natsPorts = { client: 4222, monitor: 8222, cluster: 6222 } as const;

/** Name of the NATS service, config map and stateful set that a group with `nats.managed` has. */
export function natsServiceName(group: string): string {
  return `${group}-nats`;
}

/** Where the members of a group with `nats.managed` find NATS. */
export function managedNatsUrl(namespace: string, group: string): string {
  return `nats://${natsServiceName(group)}.${namespace}.svc:${natsPorts.client}`;
}

/** Name of the service by which other services reach the management API of a gateway. */
export function managementServiceName(gateway: string): string {
  return `${gateway}-management`;
}
