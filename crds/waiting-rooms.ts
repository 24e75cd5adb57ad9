/** Waiting rooms that belong to no destination. A rule is a DNS label and an origin has a scheme, so neither is one of them. */

/** Messages whose destination is not decided. */
export const unroutedRoom = '~unrouted';
/** Messages that become dead letters once these are accepted. */
export const deadLetterRoom = '~deadLetters';
