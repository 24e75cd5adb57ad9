/** How much of a processor's work may go on at once. */

export interface DispatcherLimits {
  /** Deliveries that may run at once. */
  readonly maxRunning: number;
  /** The same for one destination. */
  readonly maxRunningPerDestination: number;
  /** True if a message may be overtaken by later ones of its connection, and so may move into a waiting room. */
  readonly mayPark: boolean;
  /** True if there is more than one destination, so that one which has no room would stand in the way of another. */
  readonly hasOthers: boolean;
}
