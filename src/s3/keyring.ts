/**
 * The credentials that requests are signed with, and how new ones take their place while a run goes on.
 *
 * Whoever signs takes {@link Keyring.current} anew for each request, so credentials change for all at once. New
 * ones are asked for some minutes before they expire, while requests go on, and when a store has refused
 * them; however many meet that at once, whoever provides them is asked once. Nothing happens while nobody signs:
 * there is no timer, and nothing to be closed.
 *
 * The main thread's asks a provider, a worker thread's asks the main thread's.
 */
import type { Credentials } from '../wire/signature.ts';

/** Credentials as they come from a provider; plain data. */
export interface TemporaryCredentials extends Credentials {
  /** In ms since the epoch; undefined where they do not expire, or nobody says when. */
  readonly expiresAtMs?: number | undefined;
}

export interface KeyringOptions {
  /**
   * Gives credentials, the very same where there are no newer ones.
   *
   * @param outdated - those that shall be replaced
   */
  readonly ask: (outdated: TemporaryCredentials) => Promise<TemporaryCredentials>;
  /** Wall clock, ms since the epoch. */
  readonly now: () => number;
}

/** How long before their end new ones are asked for; of short-lived ones the last quarter of their time. */
const AHEAD_MS = 5 * 60_000;
const AHEAD_SHARE = 1 / 4;
/** Whoever hands out credentials that have all but expired is not asked for each request. */
const LEAST_USE_MS = 1_000;
/** After it had nothing newer, or was asked ahead of time, a provider is left alone for so long. */
const PAUSE_MS = 5_000;

export class Keyring {
  readonly #options: KeyringOptions;
  #current: TemporaryCredentials;
  /** From when on new ones are asked for ahead of the end of those in use. */
  #aheadFromMs: number;
  #nothingNewerUntilMs = 0;
  #asking: Promise<TemporaryCredentials | undefined> | undefined;
  /** Told why new credentials could not be had ahead of time, while the old ones still hold. */
  onTrouble: (reason: unknown) => void = () => {};

  constructor(first: TemporaryCredentials, options: KeyringOptions) {
    this.#options = options;
    this.#current = first;
    this.#aheadFromMs = this.#aheadOf(first);
  }

  /** Those to sign the next request with. */
  get current(): TemporaryCredentials {
    if (this.#options.now() >= this.#aheadFromMs) this.#renewAhead();
    return this.#current;
  }

  /**
   * Replaces credentials that a store has refused.
   *
   * @returns others than `refused`; undefined where there are none
   * @throws what `ask` throws
   */
  async renew(refused: Credentials): Promise<TemporaryCredentials | undefined> {
    if (!areSame(refused, this.#current)) return this.#current;
    if (this.#options.now() < this.#nothingNewerUntilMs) return undefined;
    return this.#askOnce();
  }

  #renewAhead(): void {
    this.#aheadFromMs = this.#options.now() + PAUSE_MS;
    if (this.#asking === undefined) this.#askOnce().catch((error) => this.onTrouble(error));
  }

  #askOnce(): Promise<TemporaryCredentials | undefined> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<TemporaryCredentials | undefined> {
    const { ask, now } = this.#options;
    const given = await ask(this.#current);
    if (areSame(given, this.#current)) {
      // A provider may have made them last longer.
      if (given.expiresAtMs !== this.#current.expiresAtMs) this.#take(given);
      this.#nothingNewerUntilMs = now() + PAUSE_MS;
      return undefined;
    }
    this.#take(given);
    return given;
  }

  #take(given: TemporaryCredentials): void {
    this.#current = given;
    this.#aheadFromMs = this.#aheadOf(given);
  }

  #aheadOf({ expiresAtMs }: TemporaryCredentials): number {
    if (expiresAtMs === undefined) return Number.POSITIVE_INFINITY;
    const now = this.#options.now();
    const left = expiresAtMs - now;
    return now + Math.max(LEAST_USE_MS, left - Math.min(AHEAD_MS, left * AHEAD_SHARE));
  }
}

function areSame(a: Credentials, b: Credentials): boolean {
  return a.accessKey === b.accessKey && a.secret === b.secret && a.sessionToken === b.sessionToken;
}
