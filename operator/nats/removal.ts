/** The progress of a removal in NATS. */
export type Removal =
  | { readonly state: 'done' }
  /** The request is under way. */
  | { readonly state: 'pending'; readonly obstacle: string }
  /** NATS cannot be reached or refuses; the removal is retried. */
  | { readonly state: 'blocked'; readonly obstacle: string };

export const removalDone: Removal = { state: 'done' };
export const removalPending: Removal = { state: 'pending', obstacle: 'it has not answered yet' };

export function removalBlocked(obstacle: string): Removal {
  return { state: 'blocked', obstacle };
}
