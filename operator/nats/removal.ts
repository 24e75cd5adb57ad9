/** How far the removal of something in NATS is. */
export type Removal =
  | { readonly state: 'done' }
  /** NATS is being asked. */
  | { readonly state: 'pending'; readonly obstacle: string }
  /** NATS cannot be asked, or refuses; it is tried again. */
  | { readonly state: 'blocked'; readonly obstacle: string };

export const removalDone: Removal = { state: 'done' };
export const removalPending: Removal = { state: 'pending', obstacle: 'it has not answered yet' };

export function removalBlocked(obstacle: string): Removal {
  return { state: 'blocked', obstacle };
}
