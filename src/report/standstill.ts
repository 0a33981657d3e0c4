/**
 * Tells that the program itself did not run for a while, which explains a gap in everything else it tells.
 */
import { startAwakeClock, type TickingClock } from '../awake-clock.ts';
import type { Progress } from './progress.ts';
import { formatDuration } from './quantities.ts';

/** Shorter ones are of a busy host, and happen. */
const WORTH_TELLING_MS = 5_000;

/** Each time once; until the clock is stopped. */
export function tellStandstills(progress: Pick<Progress, 'message'>): TickingClock {
  return startAwakeClock(
    () => {},
    (ms) => {
      if (ms < WORTH_TELLING_MS) return;
      progress.message(
        `s3migrate: warning: s3migrate stood still for ${formatDuration(ms)} (suspended, or the host is overloaded)`,
      );
    },
  );
}
