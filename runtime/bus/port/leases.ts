/** Leases say which instances of the group are alive. */

/** An instance's claim that its connections are alive. */
export interface Lease {
  /** True while it is known to be held: it was written, and renewed within its time. */
  readonly isHeld: boolean;
  /** Gives it up at once, so that its connections count as gone. Never rejects. */
  release(): Promise<void>;
}

export interface LeaseBus {
  /**
   * Claims the lease of this instance and renews it until it is released. `onLost` is called whenever it could not be
   * renewed for so long that others may soon see it as expired: the owner must close its connections. The bus keeps
   * trying to renew it, and the owner may accept connections again once the lease is held. `onHeld` is called when it
   * is held for the first time or again.
   */
  hold(instanceId: string, onLost: () => void, onHeld?: () => void): Lease;
  /** True while that instance's lease is held; undefined while it can't be known. */
  isHeld(instanceId: string): Promise<boolean | undefined>;
  /**
   * The instances whose lease is held and that hear what is asked of addresses, which those of earlier releases do not;
   * undefined while it can't be known. Never rejects.
   */
  addressable(): Promise<string[] | undefined>;
}
