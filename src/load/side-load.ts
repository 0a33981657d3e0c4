/**
 * How much one store is asked for at once, by what it says and how it fares.
 *
 * Two limits, each found by additive increase and multiplicative decrease: the {@link Level} is how many exchanges
 * may be under way, the {@link Pace} how many may begin a second. Whether the store is there at all its
 * {@link Availability} tells. Each thread has its own; together they come to a fair share of one store.
 */
import type { SideState } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { StoreError } from '../s3/object-store.ts';
import { type Asking, Availability, type AvailabilityOptions } from './availability.ts';
import { Level, type LevelLimits } from './level.ts';
import { Pace } from './pace.ts';
import { type FailedAttempt, isTooLate } from './retry.ts';

/** `least` and `most`: exchanges under way at once; {@link SideLoad.places} stays between them. */
export interface SideLoadOptions extends LevelLimits, Omit<AvailabilityOptions, 'onUp'> {
  /** Called when {@link SideLoad.places} may have changed. */
  readonly onChange: () => void;
}

const TICK_MS = 250;
/** Exchanges that a paced store needs under way: those of this time, or of twice what one takes. */
const PACED_SECONDS = 0.25;
/** Refusals that no pace helps against lower the level to this share of the most: some objects may be refused for ever. */
const UNPACED_SHARE = 1 / 4;
/** What a store took before an outage of this length says nothing of what it takes now. */
const FORGETTING_OUTAGE_MS = 1_000;

export class SideLoad {
  readonly #options: SideLoadOptions;
  readonly #level: Level;
  readonly #pace: Pace;
  readonly #availability: Availability;
  #underWay = 0;
  #tick: NodeJS.Timeout | undefined;

  constructor(options: SideLoadOptions) {
    this.#options = options;
    this.#level = new Level(options);
    const onChange = (): void => this.#changed();
    this.#pace = new Pace({ now: options.now, onChange });
    const onUp = (downMs: number): void => {
      if (downMs > FORGETTING_OUTAGE_MS) this.#pace.end(options.now());
    };
    this.#availability = new Availability({ ...options, onUp });
  }

  /** Exchanges that may be under way at present, from `least` to `most`. */
  get places(): number {
    const { least, most } = this.#options;
    const { perSecond } = this.#pace;
    const seconds = Math.max(PACED_SECONDS, (2 * this.#level.latencyMs) / 1_000);
    const paced = perSecond === undefined ? most : Math.ceil(perSecond * seconds);
    return Math.max(least, Math.min(most, Math.floor(this.#level.value), paced));
  }

  get state(): SideState {
    return {
      places: this.places,
      most: this.#options.most,
      perSecond: this.#pace.perSecond,
      down: this.#availability.outage,
    };
  }

  /** Whether the store has been in trouble for more than a moment, with nothing to be had of it. */
  get isDown(): boolean {
    return this.#availability.isDown;
  }

  /** By the clock that {@link begin} tells the time of. */
  get now(): number {
    return this.#options.now();
  }

  /** @returns undefined when an exchange may begin now, else when it is its turn */
  admit(): Promise<void> | undefined {
    return this.#pace.admit();
  }

  /** @returns when it began, for what is told of its end */
  begin(): number {
    this.#underWay++;
    return this.#options.now();
  }

  /**
   * An answer has come that shows a store at work, be it a refusal of the request itself.
   *
   * @param begunAt - of a small request: it tells how fast the store answers
   */
  succeeded(begunAt?: number): void {
    const now = this.#options.now();
    this.#underWay--;
    if (begunAt !== undefined) this.measured(now - begunAt);
    this.#pace.taken(now);
    this.#availability.succeeded();
  }

  /** An exchange that says nothing of the store has ended: a reading one of a store that is to take writes. */
  ended(): void {
    this.#underWay--;
  }

  /** @param error - one that `isStoreTrouble` holds for */
  failed(key: ObjectKey, error: StoreError, begunAt: number): void {
    const underWay = this.#underWay--;
    const now = this.#options.now();
    this.#availability.failed(key, error, now);
    if (error.kind === 'throttled') {
      const isPaced = this.#pace.refused(begunAt, now);
      if (!isPaced) this.#fall(now, underWay, this.#options.most * UNPACED_SHARE);
    } else if (isTooLate(error)) {
      this.#fall(now, underWay);
    }
  }

  /** How long a small request has waited for its answer, in ms. */
  measured(latencyMs: number): void {
    if (this.#level.measured(latencyMs)) this.#keepTicking();
  }

  /** The object has come to its end, or its copy begins anew some other time. */
  forget(key: ObjectKey): void {
    this.#availability.forget(key);
  }

  /** See {@link Availability.outlast}. */
  outlast(failed: Omit<FailedAttempt, 'side'>, asking: Asking): Promise<boolean> {
    return this.#availability.outlast(failed, asking);
  }

  /** Ends what it does by itself; nobody waits any more. */
  close(): void {
    clearInterval(this.#tick);
    this.#pace.close();
  }

  #fall(now: number, underWay: number, floor?: number): void {
    if (this.#level.fall(now, underWay, floor)) this.#changed();
  }

  #changed(): void {
    this.#keepTicking();
    this.#options.onChange();
  }

  #keepTicking(): void {
    if (this.#tick !== undefined) return;
    this.#tick = setInterval(() => this.#adapt(), TICK_MS);
    this.#tick.unref();
  }

  #adapt(): void {
    const now = this.#options.now();
    const before = this.places;
    this.#availability.fade(now);
    this.#level.adapt(now, { sinceMs: TICK_MS, mayGrow: !this.#availability.isInTrouble });
    this.#pace.grow(now);
    if (this.places !== before) this.#options.onChange();
  }
}
