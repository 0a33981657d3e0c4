/**
 * Both stores of a run, as this thread uses them: each asked for as much as it takes, and waited for when it is down.
 */
import { startAwakeClock } from '../awake-clock.ts';
import type { LoadState, Side } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectStore } from '../s3/object-store.ts';
import { PacedStore, type Use } from './paced-store.ts';
import type { FailedAttempt, RetryPolicy } from './retry.ts';
import { SideLoad } from './side-load.ts';

export interface BothSidesOptions {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  /** What the run relies on the destination for; on the source it is for reading. */
  readonly destinationUse: Use;
  /** Exchanges under way with one side at once; {@link BothSides.places} stays between them. */
  readonly least: number;
  readonly most: number;
  /** How long a store may be down before the run is stopped, in ms. */
  readonly maxOutageMs: number;
  readonly retry: RetryPolicy;
  /** See `AvailabilityOptions`. */
  readonly othersWait: () => boolean;
  /** Called when {@link BothSides.places} may have changed. */
  readonly onChange: () => void;
}

export class BothSides {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly #clock = startAwakeClock();
  readonly #loads: Readonly<Record<Side, SideLoad>>;
  readonly #retry: RetryPolicy;

  constructor(options: BothSidesOptions) {
    const { least, most, maxOutageMs, othersWait, onChange } = options;
    const { now } = this.#clock;
    const loadOf = (side: Side): SideLoad =>
      new SideLoad({ side, least, most, maxOutageMs, now, othersWait, onChange });
    this.#loads = { source: loadOf('source'), destination: loadOf('destination') };
    this.source = new PacedStore(options.source, this.#loads.source, 'reading');
    this.destination = new PacedStore(
      options.destination,
      this.#loads.destination,
      options.destinationUse,
    );
    this.#retry = options.retry;
  }

  /** Exchanges that both sides take at once at present. */
  get places(): number {
    return Math.min(this.#loads.source.places, this.#loads.destination.places);
  }

  get load(): LoadState {
    return { source: this.#loads.source.state, destination: this.#loads.destination.state };
  }

  /**
   * Asked before another attempt, and when there is none left (`isLast`): whether the store is to blame, so that
   * attempts begin to count anew. Waits for one that is down; see {@link SideLoad.outlast}.
   */
  async outlast(failed: FailedAttempt, isLast: boolean): Promise<boolean> {
    const { side } = failed;
    const load = this.#loads[side];
    if (!isLast && !load.isDown) return false;
    const ask = (): Promise<void> => this[side].headBucket();
    return load.outlast(failed, { ask, sleep: this.#retry.sleep });
  }

  /** The object has come to its end, or its copy begins anew some other time. */
  forget(key: ObjectKey): void {
    this.#loads.source.forget(key);
    this.#loads.destination.forget(key);
  }

  /** Ends what it does by itself; the stores are their maker's to close. */
  close(): void {
    for (const load of Object.values(this.#loads)) load.close();
    this.#clock.stop();
  }
}
