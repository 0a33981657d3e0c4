/**
 * What the progress line says of a store that is asked for less than it could be, or that does not answer.
 */
import type { Side, SideState } from '../domain.ts';
import { formatDuration } from './quantities.ts';

export interface ShownLoad extends SideState {
  /** How long the run waits for a store that is down. */
  readonly maxOutageMs: number;
}

/** @returns undefined when there is nothing to say; text of the store's is not made safe for a terminal here */
export function loadNote(side: Side, load: ShownLoad): string | undefined {
  const { places, most, perSecond, down, maxOutageMs } = load;
  if (down !== undefined) {
    const waited = formatDuration(down.forMs);
    const patience = formatDuration(maxOutageMs);
    return `${side} not answering for ${waited} (${down.why}), waiting up to ${patience}`;
  }
  const limits = [
    ...(places < most ? [`${places} of ${most} at once`] : []),
    ...(perSecond === undefined ? [] : [`${rounded(perSecond)} requests/s`]),
  ];
  return limits.length === 0 ? undefined : `${side} takes ${limits.join(', ')}`;
}

function rounded(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}
