/**
 * Whether a store is there at all, and whether it is the store's doing that an object fails.
 *
 * A store that is down is waited for, so that an outage costs time and no objects. An object that alone is refused,
 * while others succeed, is not waited for: its attempts count.
 */
import type { Outage, Side } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { ObjectKey } from '../object-key.ts';
import { StoreError } from '../s3/object-store.ts';
import { type FailedAttempt, isStoreTrouble } from './retry.ts';

export interface AvailabilityOptions {
  readonly side: Side;
  /** How long a store may be down before the run is stopped, in ms. */
  readonly maxOutageMs: number;
  /** Monotonic, ms; without the time that this thread itself stood still. */
  readonly now: () => number;
  /** Whether objects wait for a place: where none do, those under way may be the only ones that are refused. */
  readonly othersWait: () => boolean;
  /** Called when the store answers again, with how long it had not. */
  readonly onUp: (downMs: number) => void;
}

/** How one asks and waits. */
export interface Asking {
  /** Asks the store for its bucket. */
  readonly ask: () => Promise<void>;
  readonly sleep: (ms: number) => Promise<void>;
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

/** A store is down when it has been in trouble for so long. */
const DOWN_MS = 3_000;
/** A key that fails again after so long begins to fail: no two attempts are as far apart. */
const FORGIVEN_MS = 120_000;
/** How often a store that is down is asked whether it is there again. */
const ASK_EVERY_MS = 2_000;
/** Refusals of others of late, as a share of all answers, from which on those of one object say little of it. */
const COMMON_SHARE = 1 / 3;
const COMMON_MS = 30_000;

export class Availability {
  readonly #options: AvailabilityOptions;
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

  constructor(options: AvailabilityOptions) {
    this.#options = options;
    this.#recentAt = options.now();
  }

  /** Whether nothing was to be had of the store of late, if only for a moment. */
  get isInTrouble(): boolean {
    return this.#downSince !== undefined;
  }

  /** Whether the store has been in trouble for more than a moment, with nothing to be had of it. */
  get isDown(): boolean {
    return this.#downMs >= DOWN_MS;
  }

  /** undefined unless {@link isDown} */
  get outage(): Outage | undefined {
    return this.isDown ? { forMs: this.#downMs, why: this.#downWhy } : undefined;
  }

  /** An answer has come that shows a store at work. */
  succeeded(): void {
    this.#successes++;
    this.#recent.taken++;
    if (this.#downSince !== undefined) this.#isUp();
  }

  /** @param error - one that {@link isStoreTrouble} holds for */
  failed(key: ObjectKey, error: StoreError, now: number): void {
    this.#downSince ??= now;
    this.#downWhy = wordsOf(error);
    this.#noteTroubled(key, now);
    if (error.kind === 'throttled') this.#recent.refused++;
  }

  /** The object has come to its end, or its copy begins anew some other time. */
  forget(key: ObjectKey): void {
    if (this.#troubled.size > 0) this.#troubled.delete(key);
  }

  /** What is long ago counts less and less; to be called several times a minute. */
  fade(now: number): void {
    if (now - this.#recentAt < COMMON_MS) return;
    this.#recentAt = now;
    this.#recent = { taken: this.#recent.taken / 2, refused: this.#recent.refused / 2 };
  }

  /**
   * To be asked when an object has used up its attempts, and while the store is down: whether that is the store's
   * doing, so that attempts begin to count anew. Waits for a store that is down, and comes back with true when it is
   * there again.
   *
   * @throws MigrateError when it stays down for longer than it may; what `sleep` throws when the run ends
   */
  async outlast(
    { key, error, attempt }: Omit<FailedAttempt, 'side'>,
    { ask, sleep }: Asking,
  ): Promise<boolean> {
    if (!isStoreTrouble(error)) return false;
    if (this.#hasLivedThroughOutage(key)) return true;
    if (!this.isDown && this.#hasTakenOthers(key)) return this.#excuse(key, error, attempt);
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
    if (troubled !== undefined && now - troubled.lastAt < FORGIVEN_MS) {
      troubled.lastAt = now;
      return;
    }
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
  #excuse(key: ObjectKey, error: StoreError, attempt: number): boolean {
    const troubled = this.#troubled.get(key);
    if (troubled === undefined || troubled.excused) return false;
    if (!this.#isCommon(error, attempt)) return false;
    troubled.excused = true;
    return true;
  }

  /** Whether many others are refused, too. */
  #isCommon({ kind }: StoreError, attempt: number): boolean {
    if (kind !== 'throttled') return false;
    const { taken, refused } = this.#recent;
    // Its own are no sign that others fare the same.
    const ofOthers = refused - attempt;
    return ofOthers > COMMON_SHARE * (taken + refused);
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
    const downMs = this.#downMs;
    if (this.#isGone) this.#outages++;
    this.#isGone = false;
    this.#downSince = undefined;
    this.#options.onUp(downMs);
  }
}

function wordsOf({ status, code, message }: StoreError): string {
  if (status === 0) return message;
  return code.startsWith('HTTP') ? code : `${status} ${code}`;
}
