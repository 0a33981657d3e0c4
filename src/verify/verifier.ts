/**
 * The verify stage: pages of keys in, what was found out about them, in key order, with a bounded number of
 * keys under comparison.
 *
 * Keys begin in order and are done in any. What is done is handed on up to the first key that is not, at
 * once when a page is done and about every second before that. Only so many pages are open at a time:
 * behind a key that takes long the others go on until then.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { KeyPage } from '../domain.ts';
import type { VerifiedKey, VerifiedPage } from '../findings.ts';
import type { ObjectKey } from '../object-key.ts';
import { compareKey } from './compare-key.ts';
import type { Comparison } from './comparison.ts';
import { OpenPage } from './open-page.ts';

export interface VerifierOptions extends Comparison {
  /** Keys under comparison at once; 1 to 4096. Content that is compared takes 512 KiB for each of them. */
  readonly threads: number;
  /** How many of them at present, at least 1; see {@link Verifier.beginMore}. */
  readonly places: () => number;
  /** Aborted here when no key can be compared any more, or nobody wants to know: what waits for a store ends with it. */
  readonly halt: AbortController;
  /** Told of each key that is done. */
  readonly forget: (key: ObjectKey) => void;
  /** This host's keys; undefined for all. */
  readonly owns: { owns(key: ObjectKey): boolean } | undefined;
}

/** Some sixty thousand keys, in a few MB. */
const MAX_OPEN_PAGES = 32;
const HAND_ON_EVERY_MS = 1000;

const IGNORED: VerifiedKey = { state: 'ignored', findings: [] };

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #comparison: Comparison;
  /** In key order. */
  readonly #open: OpenPage[] = [];
  /** Those of them with keys that are not begun yet, in key order. */
  readonly #waiting: OpenPage[] = [];
  #workers = 0;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#comparison = {
      ...options,
      signal: AbortSignal.any([options.signal, options.halt.signal]),
    };
  }

  /**
   * Compares the keys of the pages, which ascend. Once the signal is aborted no key is begun; those under
   * way are finished, but for content that is being read. To be called once. When it has ended, also by its
   * consumer leaving, nothing is under way any more.
   *
   * @throws what `pages` throws, and what keeps every key from being compared, once all that was done before
   *   that has been handed on
   */
  async *run(pages: AsyncIterable<KeyPage>): AsyncGenerator<VerifiedPage, void, undefined> {
    try {
      for await (const page of this.#untilStopped(pages)) {
        this.#begin(page);
        while (this.#open.length === MAX_OPEN_PAGES && !this.#stopped) yield* this.#turn();
      }
      while (this.#open.length > 0 && !this.#stopped) yield* this.#turn();
      await this.#settled();
      yield* this.#takeDone();
    } finally {
      this.#options.halt.abort();
      await this.#settled();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  get #stopped(): boolean {
    return this.#comparison.signal.aborted;
  }

  /** What the lists throw is kept, so that what comes before it can be handed on. */
  async *#untilStopped(pages: AsyncIterable<KeyPage>): AsyncGenerator<KeyPage> {
    try {
      for await (const page of pages) {
        if (this.#stopped) return;
        yield page;
      }
    } catch (error) {
      // An aborted list throws, so that its end is not taken for the end of the keys.
      if (!this.#options.signal.aborted) this.#failure ??= { error };
    }
  }

  #begin({ keys, listBytes }: KeyPage): void {
    const { counters, owns } = this.#options;
    counters.objects += keys.length;
    counters.listBytes = listBytes;
    const page = new OpenPage(keys);
    if (owns !== undefined) {
      for (const [index, key] of keys.entries()) {
        if (owns.owns(key)) continue;
        page.finish(index, IGNORED);
        counters.totals.ignored++;
      }
    }
    this.#open.push(page);
    this.#waiting.push(page);
    this.beginMore();
  }

  /** To be called when there may be more places than before. */
  beginMore(): void {
    for (let idle = this.#places - this.#workers; idle > 0 && this.waiting; idle--) {
      void this.#work();
    }
  }

  get #places(): number {
    const { threads, places } = this.#options;
    return Math.min(threads, places());
  }

  /** Whether keys wait for a place. */
  get waiting(): boolean {
    return this.#nextPage() !== undefined;
  }

  /** Compares one key after another while there are any. Never rejected. */
  async #work(): Promise<void> {
    const { counters, forget } = this.#options;
    this.#workers++;
    while (this.#workers <= this.#places) {
      const page = this.#nextPage();
      const index = page?.beginNext();
      if (page === undefined || index === undefined) break;
      counters.working++;
      const key = page.keyAt(index);
      try {
        const result = await compareKey(key, this.#comparison);
        page.finish(index, result);
        counters.totals[result.state]++;
      } catch (error) {
        // A key that the end of the run has cut short stays without a result.
        if (!this.#stopped) {
          this.#failure ??= { error };
          this.#options.halt.abort();
        }
      }
      forget(key);
      counters.working--;
      if (page.done && page === this.#open[0]) this.#wake();
    }
    this.#workers--;
    this.#wake();
  }

  /** The first page with a key to begin; undefined when there is none, or none is to be begun. */
  #nextPage(): OpenPage | undefined {
    if (this.#stopped) return undefined;
    while (this.#waiting[0]?.begun === true) this.#waiting.shift();
    return this.#waiting[0];
  }

  /** Waits for the oldest page, for a second at most, and hands on what is done. */
  async *#turn(): AsyncGenerator<VerifiedPage> {
    const waiting = new AbortController();
    const aSecond = delay(HAND_ON_EVERY_MS, undefined, { signal: waiting.signal });
    aSecond.catch(() => {});
    if (this.#open[0]?.done === false) await Promise.race([this.#change(), aSecond]);
    waiting.abort();
    yield* this.#takeDone();
  }

  /** Up to the first key that is not done. */
  *#takeDone(): Generator<VerifiedPage> {
    for (let oldest = this.#open[0]; oldest !== undefined; oldest = this.#open[0]) {
      const done = oldest.takeDone();
      if (done !== undefined) yield done;
      // More of it may have been done while the consumer was at work: not `done`.
      else if (!oldest.taken) return;
      else this.#open.shift();
    }
  }

  async #settled(): Promise<void> {
    while (this.#workers > 0) await this.#change();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
