/**
 * How long a command waits for a store while its bucket is opened, and that it says so on standard error.
 */

/** Of a command that somebody sits before: a run may have been started by a timer, and must not give up as soon. */
export const PATIENCE_OF_A_PERSON_MS = 5_000;

export function tellWaiting(message: string): void {
  process.stderr.write(`s3migrate: ${message}\n`);
}
