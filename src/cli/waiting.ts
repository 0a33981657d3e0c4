/**
 * How long a command waits for a store while its bucket is opened, and that it says so on standard error.
 */
import type { Opening } from '../s3/open-store.ts';

/** Of a command that somebody sits before: a run may have been started by a timer, and must not give up as soon. */
export const PATIENCE_OF_A_PERSON_MS = 5_000;

/** @param patienceMs - as {@link Opening} has it */
export function tellingOfWaits(signal: AbortSignal, patienceMs?: number): Opening {
  return { signal, onWait: tellWait, patienceMs };
}

function tellWait(message: string): void {
  process.stderr.write(`s3migrate: ${message}\n`);
}
