/** Which instances of the group are alive. */

/** An instance's claim that its connections may live. */
export interface Lease {
  /** True while it is known to be held: it was written, and renewed within its time. */
  readonly isHeld: boolean;
  /** Gives it up at once, so that its connections count as gone. Never rejects. */
  release(): Promise<void>;
}

export interface LeaseBus {
  /**
   * Claims the lease of this instance and renews it until released. `onLost` is called whenever it could not be
   * renewed for so long that others may soon see it as expired: the owner must end its connections, and may take new
   * ones once the lease is held again, which the bus goes on trying.
   */
  hold(instanceId: string, onLost: () => void): Lease;
  /** True while that instance's lease is held; undefined while it can't be known. */
  isHeld(instanceId: string): Promise<boolean | undefined>;
}
