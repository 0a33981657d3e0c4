/**
 * A crew of one: copies in this thread.
 */
import type { LoadState } from '../../domain.ts';
import { RunEnding } from '../../load/retry.ts';
import { CopyPool, type CopyPoolOptions } from '../copy-pool.ts';
import type { OpenPage } from '../open-page.ts';
import type { Crew, CrewEvents } from './crew.ts';

export type LocalCrewOptions = Omit<CopyPoolOptions, 'warn'>;

export class LocalCrew implements Crew {
  readonly #options: LocalCrewOptions;
  readonly #events: CrewEvents;
  readonly #pool: CopyPool;

  constructor(options: LocalCrewOptions, events: CrewEvents) {
    this.#options = options;
    this.#events = events;
    this.#pool = new CopyPool({ ...options, warn: (message) => events.onWarning(message) });
  }

  get waiting(): number {
    return this.#pool.waiting;
  }

  get idle(): boolean {
    return this.#pool.idle;
  }

  get load(): LoadState {
    return this.#pool.load;
  }

  copy(page: OpenPage, indices: Iterable<number>): void {
    for (const index of indices) void this.#copy(page, index);
  }

  async #copy(page: OpenPage, index: number): Promise<void> {
    try {
      const outcome = await this.#pool.copy(page.keyAt(index));
      this.#events.onOutcome(page, index, outcome);
    } catch (error) {
      // Its key has no outcome, like those that were not begun.
      if (!(error instanceof RunEnding)) this.#events.onFailure(error);
    }
    this.#events.onChange();
  }

  stop(): void {
    this.#pool.clear();
  }

  /** The stores are its maker's to close. */
  close(): Promise<void> {
    this.#pool.close();
    return Promise.resolve();
  }

  leave(): void {
    this.#options.source.close();
    this.#options.destination.close();
  }
}
