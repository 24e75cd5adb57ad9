/** A cluster, and how requests to it prove who sends them. */

import type { Agent, AgentOptions } from 'node:https';

/** An API server and our credentials for it. */
export interface Cluster {
  readonly server: URL;
  /** Credentials as they are now. @throws when they cannot be read */
  credentials(): Promise<ClusterCredentials>;
}

/** What a request carries and how its connection is made. */
export interface ClusterCredentials {
  readonly headers: Readonly<Record<string, string>>;
  /** Name and password, as `name:password`. */
  readonly auth?: string | undefined;
  readonly tls: TlsSettings;
  /** The agent that a proxy needs, instead of one of our own. */
  readonly agent?: Agent | undefined;
}

/** Certificates, and whom to trust. */
export type TlsSettings = Pick<
  AgentOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'
>;
