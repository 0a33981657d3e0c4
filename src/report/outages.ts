/**
 * Tells when a store stops answering, and when it answers again: once each, whatever the progress line shows.
 */
import type { Outage, Side } from '../domain.ts';
import { formatDuration } from './quantities.ts';

export class Outages {
  readonly #down = new Map<Side, Outage>();

  /** @returns what is to be told, if anything; to be asked about once a second */
  look(side: Side, down: Outage | undefined, maxOutageMs: number): string | undefined {
    const before = this.#down.get(side);
    if (down === undefined) {
      this.#down.delete(side);
      return before && `the ${side} answers again, after ${formatDuration(before.forMs)}`;
    }
    this.#down.set(side, down);
    if (before !== undefined) return undefined;
    const patience = formatDuration(maxOutageMs);
    return `the ${side} does not answer (${down.why}): waiting for it, up to ${patience} (--max-outage)`;
  }
}
