/** The destination's list as a merge join needs it: ascending keys are looked up in passing. */
import { Decision, type KeyPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { readAhead } from './read-ahead.ts';

/** Holds two of the list's pages at most. To be closed. */
export class DestinationKeys {
  readonly #pages: AsyncGenerator<KeyPage, void, undefined>;
  #keys: readonly ObjectKey[] = [];
  #at = 0;
  #ended = false;

  constructor(pages: AsyncIterable<KeyPage>) {
    this.#pages = readAhead(pages);
  }

  /**
   * Decides `exists` for each key to be transferred that the list holds. Calls must not overlap.
   *
   * @param keys ascending, and all after those of earlier calls
   * @throws what the list's pages throw
   */
  async mark(keys: readonly ObjectKey[], decisions: Uint8Array): Promise<void> {
    for (let next = 0; next < keys.length && !this.#ended; ) {
      next = this.#markFrom(next, keys, decisions);
      if (next < keys.length) await this.#turnPage();
    }
  }

  /** @returns where in `keys` this page of the list ends */
  #markFrom(start: number, keys: readonly ObjectKey[], decisions: Uint8Array): number {
    const listed = this.#keys;
    let at = this.#at;
    let i = start;
    for (; i < keys.length; i++) {
      if (decisions[i] !== Decision.transfer) continue;
      const key = keys[i] as ObjectKey;
      while (at < listed.length && (listed[at] as ObjectKey) < key) at++;
      if (at === listed.length) break;
      if (listed[at] === key) decisions[i] = Decision.exists;
    }
    this.#at = at;
    return i;
  }

  async #turnPage(): Promise<void> {
    const { done, value } = await this.#pages.next();
    if (done === true) this.#ended = true;
    this.#keys = value?.keys ?? [];
    this.#at = 0;
  }

  async close(): Promise<void> {
    await this.#pages.return();
  }
}
