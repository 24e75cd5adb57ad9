/** The configuration of the socket layer. Read at each use, so that a changed configuration applies at once. */

import type { HandshakePolicy } from './handshake.ts';
import type { LifetimePolicy } from './lifetime.ts';

export interface SocketPolicy extends HandshakePolicy, LifetimePolicy {
  /** CIDRs of the proxies whose headers say where a client is; undefined: none. */
  readonly trustedProxies?: readonly string[] | undefined;
  readonly heartbeat: {
    readonly intervalSeconds: number;
    readonly timeoutSeconds: number;
  };
  readonly limits: LifetimePolicy['limits'] & {
    /** Limit of one client message; a change applies to connections opened after it. */
    readonly maxMessageBytes: number;
    readonly maxConnections: number;
    /** Upgrades that are not answered yet. */
    readonly maxPendingHandshakes: number;
    /** 0: no limit. IPv6 by /64. */
    readonly maxConnectionsPerAddress: number;
    /** 0: no limit. With room for one second's worth. */
    readonly handshakesPerSecondPerAddress: number;
    readonly maxBufferedBytes: number;
    /** For everything that is unfinished or queued. 0: a quarter of the memory of the container. */
    readonly maxMemoryBytes: number;
    readonly messageTimeoutSeconds: number;
    /** 0: no limit. Above it, reading is held: the client is slowed down, nothing is lost. */
    readonly messagesPerSecond: number;
  };
}

/** The policy in force. */
export interface LiveSocketPolicy {
  readonly current: SocketPolicy;
}
