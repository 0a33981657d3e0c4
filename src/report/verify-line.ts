/**
 * The progress line of a verification:
 *
 * `obj=1234 :: ign=56 same=1089 unproven=3 work=64 [45% ~2h:34m:12s] :: +2 -1 *4 !0 gone=0 (5123.4/s)
 * cmp.byt=1.2GB (45MB/s)`
 *
 * In the order and form of the migration's own, with the symbols of verify.log.
 */
import { keysVerified, type VerifyCounters } from '../findings.ts';
import { displayText } from '../object-key.ts';
import { MovingRate } from './moving-rate.ts';
import { cutToColumns } from './progress-line.ts';
import { formatBytes, formatDuration, formatPerSecond } from './quantities.ts';

const RATE_WINDOW_MS = 15_000;
const ESTIMATE_WINDOW_MS = 300_000;
/** No estimate from less: the first seconds are connections being opened. */
const ESTIMATE_AFTER_MS = 5000;

export interface VerifyLineOptions {
  /** Sampled, never changed. */
  readonly counters: Readonly<VerifyCounters>;
  /** A monotonic clock, in ms. */
  readonly now: () => number;
  /** Said at the end of the line, such as a store that is down; asked for each line. */
  readonly note?: () => string | undefined;
}

export class VerifyLine {
  readonly #options: VerifyLineOptions;
  readonly #keys = new MovingRate(RATE_WINDOW_MS);
  readonly #bytes = new MovingRate(RATE_WINDOW_MS);
  readonly #fraction = new MovingRate(ESTIMATE_WINDOW_MS);
  #reached = 0;

  /** The rates count from here. */
  constructor(options: VerifyLineOptions) {
    this.#options = options;
    this.#read();
  }

  /** The line now. The share done never steps back from one to the next. */
  text(state: 'running' | 'ended', columns = Infinity): string {
    this.#read();
    const { totals, objects, working, comparedBytes } = this.#options.counters;
    const note = this.#options.note?.();
    const line = [
      `obj=${objects} ::`,
      `ign=${totals.ignored} same=${totals.same} unproven=${totals.unproven} work=${working}`,
      `[${this.#percent(state)}% ~${this.#remaining()}] ::`,
      `+${totals.missingOnDestination} -${totals.missingOnSource} *${totals.differ} !${totals.error}`,
      `gone=${totals.gone} (${formatPerSecond(this.#keys.perSecond)})`,
      `cmp.byt=${formatBytes(comparedBytes)} (${formatBytes(this.#bytes.perSecond)}/s)`,
      ...(note === undefined ? [] : [`:: ${displayText(note)}`]),
    ].join(' ');
    return cutToColumns(line, columns);
  }

  #read(): void {
    const { counters, now } = this.#options;
    const atMs = now();
    const verified = keysVerified(counters.totals);
    this.#keys.add(atMs, verified);
    this.#bytes.add(atMs, counters.comparedBytes);
    const { listBytes, listBytesTotal, objects } = counters;
    // Nothing is known before the first page: where a run goes on in the lists counts from there.
    if (listBytes === 0 || objects === 0) return;
    const done = (listBytes / listBytesTotal) * (verified / objects);
    this.#reached = Math.min(1, Math.max(this.#reached, done));
    this.#fraction.add(atMs, this.#reached);
  }

  #percent(state: 'running' | 'ended'): number {
    if (state === 'ended' && this.#reached === 1) return 100;
    return Math.min(99, Math.floor(this.#reached * 100));
  }

  #remaining(): string {
    if (this.#reached === 1) return formatDuration(0);
    const { perSecond, spanMs } = this.#fraction;
    if (perSecond === 0 || spanMs < ESTIMATE_AFTER_MS) return '?';
    return formatDuration(((1 - this.#reached) / perSecond) * 1000);
  }
}
