/**
 * The end of a turn of the event loop, where what the turn has gathered leaves together: first everything is formed, such
 * as an entry of several messages, then everything is written, so that a turn costs each socket one write.
 */

const forming: (() => void)[] = [];
const writing: (() => void)[] = [];
let isScheduled = false;

/** Calls it once at the end of this turn, before anything is written. What it asks for is done in the same turn. */
export function formAtTurnEnd(callback: () => void): void {
  forming.push(callback);
  schedule();
}

/** Calls it once at the end of this turn, when everything is formed. */
export function writeAtTurnEnd(callback: () => void): void {
  writing.push(callback);
  schedule();
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(endTurn);
}

function endTurn(): void {
  isScheduled = false;
  try {
    run(forming);
    run(writing);
  } finally {
    // Only if one of them threw.
    if (forming.length + writing.length > 0) schedule();
  }
}

/** Calls all, with those that are added meanwhile. */
function run(callbacks: (() => void)[]): void {
  let at = 0;
  try {
    while (at < callbacks.length) callbacks[at++]?.();
  } finally {
    callbacks.splice(0, at);
  }
}
