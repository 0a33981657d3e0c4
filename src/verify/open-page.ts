/**
 * A page of keys under comparison, and the verified pages it turns into.
 *
 * Keys are done in any order. What is done from the page's beginning on can be taken at any time, so that
 * one slow key holds back only what comes after it.
 */
import {
  type KeyState,
  NOTHING_VERIFIED,
  type VerifiedKey,
  type VerifiedPage,
} from '../findings.ts';
import type { ObjectKey } from '../object-key.ts';

export class OpenPage {
  readonly #keys: readonly ObjectKey[];
  readonly #results: (VerifiedKey | undefined)[];
  /** Where to look for a key to begin, and for one to take. */
  #next = 0;
  #taken = 0;
  #unfinished: number;

  constructor(keys: readonly ObjectKey[]) {
    this.#keys = keys;
    this.#results = Array.from({ length: keys.length });
    this.#unfinished = keys.length;
  }

  /** Every key of it is done. */
  get done(): boolean {
    return this.#unfinished === 0;
  }

  /** Every key of it has been handed on. */
  get taken(): boolean {
    return this.#taken === this.#keys.length;
  }

  /** Every key of it is done or under way. */
  get begun(): boolean {
    this.#passDone();
    return this.#next === this.#keys.length;
  }

  /** The index of a key to begin, each once, in order; undefined when there is none. */
  beginNext(): number | undefined {
    return this.begun ? undefined : this.#next++;
  }

  keyAt(index: number): ObjectKey {
    return this.#keys[index] as ObjectKey;
  }

  finish(index: number, result: VerifiedKey): void {
    this.#results[index] = result;
    this.#unfinished--;
  }

  /**
   * Takes the keys that are done, from the first not taken yet to the last before one that is not done.
   *
   * @returns undefined when there is none
   */
  takeDone(): VerifiedPage | undefined {
    const first = this.#taken;
    const totals: Record<KeyState, number> = { ...NOTHING_VERIFIED };
    const found: VerifiedPage['found'][number][] = [];
    for (; this.#taken < this.#keys.length; this.#taken++) {
      const result = this.#results[this.#taken];
      if (result === undefined) break;
      totals[result.state]++;
      const { findings } = result;
      if (findings.length > 0) found.push({ key: this.keyAt(this.#taken), findings });
    }
    if (this.#taken === first) return undefined;
    return { last: this.keyAt(this.#taken - 1), found, totals };
  }

  /** Those of other hosts are done before any is begun. */
  #passDone(): void {
    while (this.#results[this.#next] !== undefined) this.#next++;
  }
}
