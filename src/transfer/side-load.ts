/**
 * How much one store is asked for at once, by what it says and how it fares.
 *
 * Two limits, each found by additive increase and multiplicative decrease. The *level* is how many exchanges
 * may be under way: it falls when the store stops answering in time, and when its answers come ever later.
 * The *pace* is how many may begin a second: there is none until the store refuses some as too many (503, 429); it
 * then follows what the store was seen to take, along the curve of CUBIC (RFC 9438): quickly back to just below
 * where it was refused, slowly past it, so that nearly all of what a store allows is used and few are refused.
 *
 * It also knows whether the store is there at all: {@link SideLoad.outlast} waits for one that is down, so that
 * an outage costs time and no objects. Each thread has its own; together they come to a fair share of one store.
 */
import type { Side } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { ObjectKey } from '../object-key.ts';
import { StoreError } from '../s3/object-store.ts';
import { isStoreTrouble, isTooLate } from './retry.ts';

export interface SideLoadOptions {
  readonly side: Side;
  /** Exchanges under way at once; the level stays between them. */
  readonly least: number;
  readonly most: number;
  /** How long a store may be down before the run is stopped, in ms. */
  readonly maxOutageMs: number;
  /** Monotonic, ms; without the time that this thread itself stood still. */
  readonly now: () => number;
  /** Whether objects wait for a place: where none do, those under way may be the only ones that are refused. */
  readonly othersWait: () => boolean;
  /** Called when {@link SideLoad.places} may have changed. */
  readonly onChange: () => void;
}

/** What the progress line shows of one side, as plain data. */
export interface SideState {
  /** Exchanges that may be under way; of at most `most`. */
  readonly places: number;
  readonly most: number;
  /** Exchanges that may begin a second; undefined when that is not limited. */
  readonly perSecond: number | undefined;
  /** Since when nothing was to be had of the store, once that is more than a moment. */
  readonly down: { readonly forMs: number; readonly why: string } | undefined;
}

interface Troubled {
  /** How many successes of others there had been when it began to fail. */
  readonly since: number;
  /** How often the store had been gone by then. */
  outages: number;
  /** When it has failed last. */
  lastAt: number;
  /** Its attempts have once begun to count anew because many others were refused as well. */
  excused: boolean;
}

export type LoadState = Readonly<Record<Side, SideState>>;

const TICK_MS = 250;
/** Successes are counted in slices of this length; so many make a second. */
const SLICE_MS = 100;
const A_SECOND = 10;
const SLICES = 10 * A_SECOND;
/** Looked at to tell how many a store takes: a second, or as many more as it takes to have seen so many. */
const SEEN_ENOUGH = 50;

/** The pace after a refusal, as a share of what the store was seen to take. */
const PACE_DECREASE = 0.95;
/** Between two decreases there is so much time, or so many answers. */
const DECREASE_EVERY_SECONDS = 1;
const ENOUGH_ANSWERS = 30;
/** A store that refuses more than this share takes far less than the pace, and what it was seen to take is the peak. */
const FAR_TOO_MUCH = 0.1;
/** But no less than this share of the pace: where every second request comes too early, all are just a little too fast. */
const MOST_DECREASE = 0.8;
/** One that goes on doing so after so many decreases has another reason: no pace is tried for a while. */
const MOST_IN_A_ROW = 3;
const UNPACED_MS = 30_000;
/** Until the pace is back where it was refused: a time, or that of so many requests, of which one is refused. */
const PLATEAU_SECONDS = 4;
const PLATEAU_REQUESTS = 100;
/** After twice that nothing is left of the peak but that it is too low: the pace grows by this factor a second. */
const GROWTH_A_SECOND = 1.15;
/** The same before the first refusal of a paced request: what was taken in the first moments tells little. */
const FIRST_GROWTH_A_SECOND = 1.6;
/** Least requests a second of one thread: less would look like a standstill. */
const LEAST_PACE = 4;
/** A pace that nobody has had to wait for in this time is no limit. */
const UNUSED_PACE_MS = 10_000;
/** Requests that may go at once after a pause, as time at the present pace. */
const BURST_SECONDS = 0.01;
/** Exchanges that a paced store needs under way: those of this time, or of twice what one takes. */
const PACED_SECONDS = 0.25;

const LEVEL_DECREASE = 0.7;
/** Refusals that no pace helps against lower the level to this share of the most: some objects may be refused for ever. */
const UNPACED_SHARE = 1 / 4;
const LEVEL_DECREASE_EVERY_MS = 1_000;
/** Seconds in which the level grows from nothing to the most. */
const LEVEL_GROWTH_SECONDS = 30;

/** Answers that come this many times later than they did, and this much, are of a store with too much to do. */
const LATE_FACTOR = 4;
const LATE_MS = 100;
const LATE_SAMPLES = 8;
/** What an answer takes when all is well is relearnt so slowly, as a factor a tick. */
const BASE_DRIFT = 1.002;

/** A store is down when it has been in trouble for so long. */
const DOWN_MS = 3_000;
/** A key that fails again after so long begins to fail: no two attempts are as far apart. */
const FORGIVEN_MS = 120_000;
/** How often a store that is down is asked whether it is there again. */
const ASK_EVERY_MS = 2_000;
/** Refusals of others of late, as a share of all answers, from which on those of one object say little of it. */
const COMMON_SHARE = 1 / 3;
const COMMON_MS = 30_000;

export class SideLoad {
  readonly #options: SideLoadOptions;
  #level: number;
  #levelFellAt = Number.NEGATIVE_INFINITY;
  /** Requests a second where the store last refused some; undefined while there is no pace. */
  #peak: number | undefined;
  #paceSince = 0;
  /** No request has been refused that was paced. */
  #isFirstPace = false;
  /** Answers since the pace was set. */
  #paced = { taken: 0, refused: 0 };
  /** Decreases after which far too much was refused. */
  #inARow = 0;
  #unpacedUntil = Number.NEGATIVE_INFINITY;
  #pace = Number.POSITIVE_INFINITY;
  #tokens = 0;
  #tokensAt = 0;
  #waitedAt = Number.NEGATIVE_INFINITY;
  readonly #queue: (() => void)[] = [];
  #pump: NodeJS.Timeout | undefined;
  #tick: NodeJS.Timeout | undefined;

  readonly #taken = new Float64Array(SLICES);
  #slice = 0;
  #begunAt: number;

  #underWay = 0;
  #latencySum = 0;
  #latencyCount = 0;
  #latencyMs = 0;
  #baseMs = Number.POSITIVE_INFINITY;

  #downSince: number | undefined;
  #downWhy = '';
  /** Keys of objects under way, an exchange of which has failed. */
  readonly #troubled = new Map<ObjectKey, Troubled>();
  #successes = 0;
  /** Not even the bucket answers. */
  #isGone = false;
  /** How often it was gone, and is there again. */
  #outages = 0;
  #recent = { taken: 0, refused: 0 };
  #recentAt: number;
  #asking: Promise<boolean> | undefined;

  constructor(options: SideLoadOptions) {
    this.#options = options;
    this.#level = options.most;
    this.#begunAt = options.now();
    this.#recentAt = this.#begunAt;
  }

  /** Exchanges that may be under way at present, from `least` to `most`. */
  get places(): number {
    const { least, most } = this.#options;
    const paced =
      this.#peak === undefined
        ? most
        : Math.ceil(this.#pace * Math.max(PACED_SECONDS, (2 * this.#latencyMs) / 1_000));
    return Math.max(least, Math.min(most, Math.floor(this.#level), paced));
  }

  get state(): SideState {
    return {
      places: this.places,
      most: this.#options.most,
      perSecond: this.#peak === undefined ? undefined : this.#pace,
      down: this.isDown ? { forMs: this.#downMs, why: this.#downWhy } : undefined,
    };
  }

  /** @returns undefined when an exchange may begin now, else when it is its turn */
  admit(): Promise<void> | undefined {
    if (this.#peak === undefined) return undefined;
    this.#refill();
    if (this.#queue.length === 0 && this.#tokens >= 1) {
      this.#tokens--;
      return undefined;
    }
    this.#waitedAt = this.#options.now();
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      this.#pumpSoon();
    });
  }

  /** By the clock that {@link begin} tells the time of. */
  get now(): number {
    return this.#options.now();
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
    if (begunAt !== undefined) this.measured(now - begunAt);
    this.#underWay--;
    this.#successes++;
    this.#recent.taken++;
    this.#paced.taken++;
    this.#countTaken(now);
    if (this.#downSince !== undefined) this.#isUp();
  }

  /** How long a small request has waited for its answer. */
  measured(latencyMs: number): void {
    this.#latencySum += latencyMs;
    this.#latencyCount++;
    if (this.#latencyCount === LATE_SAMPLES) this.#keepTicking();
  }

  /** An exchange that says nothing of the store has ended: a reading one of a store that is to take writes. */
  ended(): void {
    this.#underWay--;
  }

  /** The object has come to its end, or its copy begins anew some other time. */
  forget(key: ObjectKey): void {
    if (this.#troubled.size > 0) this.#troubled.delete(key);
  }

  /** @param error - one that {@link isStoreTrouble} holds for */
  failed(key: ObjectKey, error: StoreError, begunAt: number): void {
    const underWay = this.#underWay--;
    const now = this.#options.now();
    this.#downSince ??= now;
    this.#downWhy = wordsOf(error);
    this.#noteTroubled(key, now);
    if (error.kind === 'throttled') {
      this.#recent.refused++;
      if (begunAt >= this.#paceSince) this.#paced.refused++;
      // A store that has taken nothing yet tells no pace; what was sent before the last decrease says nothing of that since.
      if (
        this.#peak === undefined &&
        (now < this.#unpacedUntil || this.#takenPerSecond(now) === 0)
      ) {
        this.#lowerLevel(now, underWay, this.#options.most * UNPACED_SHARE);
      } else if (this.#peak === undefined || begunAt >= this.#paceSince) {
        this.#slowDown(now);
      }
    } else if (isTooLate(error)) {
      this.#lowerLevel(now, underWay);
    }
  }

  /** Whether the store has been in trouble for more than a moment, with nothing to be had of it. */
  get isDown(): boolean {
    return this.#downMs >= DOWN_MS;
  }

  /**
   * To be asked when an object, or one exchange of it, has used up its attempts, and while the store is down:
   * whether that is the store's doing, so that attempts begin to count anew. Waits for a store that is down, and
   * comes back with true when it is there again.
   *
   * @param attempts - of this object, which are no sign that others fare the same
   * @param ask - asks the store for its bucket
   * @throws MigrateError when it stays down for longer than it may; what `sleep` throws when the run ends
   */
  async outlast(
    { key, error, attempts }: { key: ObjectKey; error: StoreError; attempts: number },
    { ask, sleep }: { ask: () => Promise<void>; sleep: (ms: number) => Promise<void> },
  ): Promise<boolean> {
    if (!isStoreTrouble(error)) return false;
    if (this.#hasLivedThroughOutage(key)) return true;
    if (!this.isDown && this.#hasTakenOthers(key)) return this.#excuse(key, error, attempts);
    let wasGone = false;
    while (this.#downSince !== undefined) {
      const isThere = await this.#isThere(ask);
      if (isThere && (wasGone || error.kind !== 'throttled')) {
        this.#isUp();
        return wasGone;
      }
      if (isThere && (this.#hasTakenOthers(key) || !this.#refusesOthers)) return false;
      if (this.#downMs > this.#options.maxOutageMs) {
        if (isThere) return false;
        throw this.#downForTooLong();
      }
      wasGone ||= !isThere;
      await sleep(ASK_EVERY_MS);
      // It refuses all that it is asked for, and only trying tells when that is over.
      if (isThere) return true;
    }
    return true;
  }

  #noteTroubled(key: ObjectKey, now: number): void {
    const troubled = this.#troubled.get(key);
    if (troubled !== undefined && now - troubled.lastAt < FORGIVEN_MS) troubled.lastAt = now;
    else
      this.#troubled.set(key, {
        since: this.#successes,
        outages: this.#outages,
        lastAt: now,
        excused: false,
      });
  }

  /** Whether the store was gone since it began to fail: what it has spent on that does not count. */
  #hasLivedThroughOutage(key: ObjectKey): boolean {
    const troubled = this.#troubled.get(key);
    if (troubled === undefined || troubled.outages === this.#outages) return false;
    troubled.outages = this.#outages;
    return true;
  }

  /** Whether other objects have succeeded since this one began to fail. */
  #hasTakenOthers(key: ObjectKey): boolean {
    return this.#successes > (this.#troubled.get(key)?.since ?? this.#successes);
  }

  /** Whether several objects fail, none has succeeded since, and more are to come. */
  get #refusesOthers(): boolean {
    if (!this.#options.othersWait()) return false;
    const failing = [...this.#troubled.values()].filter(({ since }) => since === this.#successes);
    return failing.length > 1;
  }

  /** Whether its refusals are no sign of anything about this object; once for each. */
  #excuse(key: ObjectKey, error: StoreError, attempts: number): boolean {
    const troubled = this.#troubled.get(key);
    if (troubled === undefined || troubled.excused || !this.#isCommon(error, attempts))
      return false;
    troubled.excused = true;
    return true;
  }

  /** Ends what it does by itself; nobody waits any more. */
  close(): void {
    clearInterval(this.#tick);
    clearTimeout(this.#pump);
    for (const resolve of this.#queue.splice(0)) resolve();
  }

  /** How long nothing was to be had of the store; 0 while it answers. */
  get #downMs(): number {
    return this.#downSince === undefined ? 0 : this.#options.now() - this.#downSince;
  }

  #downForTooLong(): MigrateError {
    const seconds = Math.round(this.#downMs / 1_000);
    return new MigrateError(
      `the ${this.#options.side} has not answered for ${seconds} s (${this.#downWhy})`,
      {
        exitCode: 3,
        hint: 'When it is there again, give the same command again: it goes on where this run ended. --max-outage sets how long a run waits.',
      },
    );
  }

  /** Whether the bucket answers; all who want to know it at once ask once. */
  #isThere(ask: () => Promise<void>): Promise<boolean> {
    this.#asking ??= ask()
      .then(
        () => true,
        // A refusal is an answer as well.
        (error: unknown) => error instanceof StoreError && !isStoreTrouble(error),
      )
      .then((isThere) => {
        this.#asking = undefined;
        if (!isThere && this.#downSince !== undefined) this.#isGone = true;
        return isThere;
      });
    return this.#asking;
  }

  #isUp(): void {
    const now = this.#options.now();
    if (this.#isGone) this.#outages++;
    this.#isGone = false;
    // What it took while it was down says nothing of what it takes now.
    if (this.#peak !== undefined && this.#downMs > A_SECOND * SLICE_MS) this.#endPace(now);
    this.#downSince = undefined;
  }

  /** Whether many others are refused, too. */
  #isCommon({ kind }: StoreError, attempts: number): boolean {
    if (kind !== 'throttled') return false;
    const { taken, refused } = this.#recent;
    const ofOthers = refused - attempts;
    return ofOthers > COMMON_SHARE * (taken + refused);
  }

  #slowDown(now: number): void {
    this.#isFirstPace = this.#peak === undefined;
    if (this.#peak === undefined) {
      this.#inARow = 0;
      this.#setPace(this.#takenPerSecond(now), now);
      return;
    }
    const seconds = (now - this.#paceSince) / 1_000;
    const { taken, refused } = this.#paced;
    // How the store fares with the pace it has is seen only after a while.
    if (seconds < DECREASE_EVERY_SECONDS && taken + refused < ENOUGH_ANSWERS) return;
    const isFarTooMuch = refused > FAR_TOO_MUCH * (taken + refused);
    this.#inARow = isFarTooMuch ? this.#inARow + 1 : 0;
    if (this.#inARow > MOST_IN_A_ROW) this.#endPace(now + UNPACED_MS);
    else
      this.#setPace(
        isFarTooMuch ? Math.max(MOST_DECREASE * this.#pace, taken / seconds) : this.#pace,
        now,
      );
  }

  /** @param until - for so long no pace is tried again */
  #endPace(until: number): void {
    this.#peak = undefined;
    this.#pace = Number.POSITIVE_INFINITY;
    this.#unpacedUntil = until;
    for (const resolve of this.#queue.splice(0)) resolve();
    this.#options.onChange();
  }

  /** @param peak - exchanges a second */
  #setPace(peak: number, now: number): void {
    this.#peak = Math.max(LEAST_PACE, peak);
    this.#paceSince = now;
    this.#paced = { taken: 0, refused: 0 };
    this.#pace = Math.max(LEAST_PACE, peak * PACE_DECREASE);
    this.#tokens = Math.min(this.#tokens, 0);
    this.#tokensAt = now;
    this.#waitedAt = now;
    this.#keepTicking();
    this.#options.onChange();
  }

  #lowerLevel(now: number, underWay: number, floor: number = this.#options.least): void {
    if (now - this.#levelFellAt < LEVEL_DECREASE_EVERY_MS) return;
    this.#levelFellAt = now;
    const lower = Math.min(this.#level, underWay) * LEVEL_DECREASE;
    this.#level = Math.max(this.#options.least, Math.min(this.#level, floor), lower);
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
    this.#forget(now);
    this.#adaptToLatency(now);
    const before = this.places;
    this.#growLevel(now);
    this.#growPace(now);
    if (this.places !== before) this.#options.onChange();
  }

  #growLevel(now: number): void {
    const { most } = this.#options;
    // Not while the store is down: that it does not answer faster is no sign of room.
    const mayGrow = this.#downSince === undefined && now - this.#levelFellAt >= TICK_MS;
    if (mayGrow && this.#level < most) {
      const growth = (most / LEVEL_GROWTH_SECONDS) * (TICK_MS / 1_000);
      this.#level = Math.min(most, this.#level + Math.max(growth, TICK_MS / 1_000));
    }
  }

  #growPace(now: number): void {
    if (this.#peak === undefined) return;
    if (now - this.#waitedAt > UNUSED_PACE_MS) {
      this.#endPace(now);
      return;
    }
    this.#refill();
    this.#pace = Math.max(
      LEAST_PACE,
      this.#peak * this.#growthAfter((now - this.#paceSince) / 1_000, this.#peak),
    );
    if (this.#queue.length > 0) this.#pumpSoon();
  }

  /** The pace as a share of its peak, so many seconds after that was set. */
  #growthAfter(seconds: number, peak: number): number {
    if (this.#isFirstPace) return PACE_DECREASE * FIRST_GROWTH_A_SECOND ** seconds;
    const plateau = Math.max(PLATEAU_SECONDS, PLATEAU_REQUESTS / peak);
    const onCurve = Math.min(seconds, 2 * plateau);
    const curve = 1 + (1 - PACE_DECREASE) * (onCurve / plateau - 1) ** 3;
    return curve * GROWTH_A_SECOND ** (seconds - onCurve);
  }

  #adaptToLatency(now: number): void {
    if (this.#latencyCount < LATE_SAMPLES) return;
    const latencyMs = this.#latencySum / this.#latencyCount;
    this.#latencySum = 0;
    this.#latencyCount = 0;
    this.#latencyMs = latencyMs;
    this.#baseMs = Math.min(this.#baseMs * BASE_DRIFT, latencyMs);
    if (latencyMs > LATE_FACTOR * this.#baseMs + LATE_MS) {
      this.#lowerLevel(now, this.#level);
    }
  }

  #forget(now: number): void {
    if (now - this.#recentAt < COMMON_MS) return;
    this.#recentAt = now;
    this.#recent = { taken: this.#recent.taken / 2, refused: this.#recent.refused / 2 };
  }

  #countTaken(now: number): void {
    this.#advanceSlices(now);
    const at = this.#slice % SLICES;
    this.#taken[at] = (this.#taken[at] as number) + 1;
  }

  /** Successes a second, of late. In the first second they are taken for all of it. */
  #takenPerSecond(now: number): number {
    this.#advanceSlices(now);
    let taken = 0;
    let slices = 0;
    while (slices < A_SECOND || (taken < SEEN_ENOUGH && slices < SLICES && slices < this.#slice)) {
      taken += this.#taken[(this.#slice - slices + SLICES) % SLICES] as number;
      slices++;
    }
    return (taken / slices) * A_SECOND;
  }

  #advanceSlices(now: number): void {
    const slice = Math.floor((now - this.#begunAt) / SLICE_MS);
    if (slice - this.#slice >= SLICES) this.#taken.fill(0);
    else for (let i = this.#slice + 1; i <= slice; i++) this.#taken[i % SLICES] = 0;
    this.#slice = slice;
  }

  #refill(): void {
    const now = this.#options.now();
    const most = Math.max(1, this.#pace * BURST_SECONDS);
    this.#tokens = Math.min(most, this.#tokens + ((now - this.#tokensAt) / 1_000) * this.#pace);
    this.#tokensAt = now;
  }

  #pumpSoon(): void {
    if (this.#pump !== undefined) return;
    const ms = Math.max(1, ((1 - this.#tokens) / this.#pace) * 1_000);
    this.#pump = setTimeout(() => {
      this.#pump = undefined;
      if (this.#peak === undefined) return;
      this.#refill();
      while (this.#tokens >= 1 && this.#queue.length > 0) {
        this.#tokens--;
        this.#queue.shift()?.();
      }
      if (this.#queue.length > 0) {
        this.#waitedAt = this.#options.now();
        this.#pumpSoon();
      }
    }, ms);
  }
}

function wordsOf({ status, code, message }: StoreError): string {
  if (status === 0) return message;
  return code.startsWith('HTTP') ? code : `${status} ${code}`;
}

const SIDES: readonly Side[] = ['source', 'destination'];

/** Of two stores that take all they are asked for. */
export function undisturbed(most: number): LoadState {
  const state: SideState = { places: most, most, perSecond: undefined, down: undefined };
  return { source: state, destination: state };
}

export function isUndisturbed(load: LoadState): boolean {
  return SIDES.every((side) => {
    const { places, most, perSecond, down } = load[side];
    return places === most && perSecond === undefined && down === undefined;
  });
}

/** What several threads ask of the same two stores, taken together. */
export function loadOfAll(loads: readonly LoadState[]): LoadState {
  return {
    source: stateOfAll(loads.map(({ source }) => source)),
    destination: stateOfAll(loads.map(({ destination }) => destination)),
  };
}

function stateOfAll(states: readonly SideState[]): SideState {
  let places = 0;
  let most = 0;
  let perSecond: number | undefined;
  let down: SideState['down'];
  for (const state of states) {
    places += state.places;
    most += state.most;
    if (state.perSecond !== undefined) perSecond = (perSecond ?? 0) + state.perSecond;
    if (state.down !== undefined && state.down.forMs > (down?.forMs ?? 0)) down = state.down;
  }
  return { places, most, perSecond, down };
}
