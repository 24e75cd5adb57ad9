/** A cluster and the credentials for requests to it. */

import type { Agent, AgentOptions } from 'node:https';

/** An API server and our credentials for it. */
export interface Cluster {
  readonly server: URL;
  /** The namespace of a context, for commands that name none. @default - none */
  readonly namespace?: string | undefined;
  /** The current credentials. @throws when they cannot be read */
  credentials(): Promise<ClusterCredentials>;
}

/** The parts of a request, and of its connection, that authenticate it. */
export interface ClusterCredentials {
  readonly headers: Readonly<Record<string, string>>;
  /** Name and password, as `name:password`. */
  readonly auth?: string | undefined;
  readonly tls: TlsSettings;
  /** The agent for a proxy, used instead of our own. */
  readonly agent?: Agent | undefined;
}

/** Certificates, and the authorities to trust. */
export type TlsSettings = Pick<
  AgentOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'
>;
