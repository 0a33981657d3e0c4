/**
 * Turns the run's counters into what the progress line shows: rates over a moving window, the share
 * done, and an estimate of the time left.
 *
 * Reads the clock it is given and nothing else; draws nothing.
 */
import type { Counters } from '../domain.ts';
import { fractionDone } from './completion.ts';
import { MovingRate } from './moving-rate.ts';
import type { ProgressSample } from './progress-line.ts';

/** Long enough that the figures can be read, short enough to see the effect of a change at once. */
const RATE_WINDOW_MS = 15_000;

/**
 * The estimate follows the last five minutes and not the whole run: a million keys that exist already
 * pass in a second and say nothing about the transfers after them.
 */
const ESTIMATE_WINDOW_MS = 300_000;

/** No estimate from less: the first seconds are connections being opened. */
const ESTIMATE_AFTER_MS = 5000;

export interface ProgressSamplerOptions {
  readonly counters: Readonly<Counters>;
  /** A monotonic clock, in ms. */
  readonly now: () => number;
  /** List bytes before the first key of this run; asked for each time, as the first page tells it. */
  readonly listBytesAtStart: () => number;
}

export class ProgressSampler {
  readonly #options: ProgressSamplerOptions;
  readonly #downloads = new MovingRate(RATE_WINDOW_MS);
  readonly #downloadBytes = new MovingRate(RATE_WINDOW_MS);
  readonly #uploads = new MovingRate(RATE_WINDOW_MS);
  readonly #uploadBytes = new MovingRate(RATE_WINDOW_MS);
  readonly #completion = new MovingRate(ESTIMATE_WINDOW_MS);
  #fraction = 0;

  /** The rates count from here. */
  constructor(options: ProgressSamplerOptions) {
    this.#options = options;
    this.#read();
  }

  /** The figures now. The share done never steps back from one sample to the next. */
  sample(state: ProgressSample['state']): ProgressSample {
    this.#read();
    return {
      counters: this.#options.counters,
      rates: {
        downloadsPerSecond: this.#downloads.perSecond,
        downloadBytesPerSecond: this.#downloadBytes.perSecond,
        uploadsPerSecond: this.#uploads.perSecond,
        uploadBytesPerSecond: this.#uploadBytes.perSecond,
      },
      fraction: this.#fraction,
      remainingMs: this.#remainingMs(),
      state,
    };
  }

  #read(): void {
    const { counters, now, listBytesAtStart } = this.#options;
    const atMs = now();
    this.#downloads.add(atMs, counters.downloaded);
    this.#downloadBytes.add(atMs, counters.downloadedBytes);
    this.#uploads.add(atMs, counters.uploaded);
    this.#uploadBytes.add(atMs, counters.uploadedBytes);

    const fractionAtStart =
      counters.listBytesTotal === 0 ? 0 : Math.min(1, listBytesAtStart() / counters.listBytesTotal);
    this.#fraction = Math.max(this.#fraction, fractionDone(counters, fractionAtStart));
    // Passing over what an earlier run has done is quick; it must not make the rest look as quick.
    if (counters.objects > 0) this.#completion.add(atMs, this.#fraction);
  }

  #remainingMs(): number | undefined {
    if (this.#fraction >= 1) return 0;
    const perSecond = this.#completion.perSecond;
    if (perSecond === 0 || this.#completion.spanMs < ESTIMATE_AFTER_MS) return undefined;
    return ((1 - this.#fraction) / perSecond) * 1000;
  }
}
