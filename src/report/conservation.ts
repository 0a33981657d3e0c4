/**
 * The promise that no listed key gets lost: every key ends in exactly one counted state.
 */
import type { Counters } from '../domain.ts';
import { keysHandled } from './completion.ts';

export interface Conservation {
  readonly ok: boolean;
  /** Keys read from the lists less keys in a final state; negative when some were counted twice. */
  readonly missing: number;
}

/** Checks `objects = ignored + exists + skipped + failed + uploaded`, which holds once a run has ended. */
export function conservation(counters: Readonly<Counters>): Conservation {
  const missing = counters.objects - keysHandled(counters);
  return { ok: missing === 0, missing };
}
