/** How a serving process ends: the first SIGTERM or SIGINT asks it to stop, the second ends it at once. */

/** Resolves with the signal's name when the process is asked to stop. */
export function untilStopped(): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: string): void => {
      if (isStopping) process.exit(1);
      isStopping = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
