/**
 * All chance of a torture run: the same seed throws the same dice, so that a run can be repeated.
 */
import { createCipheriv, hash } from 'node:crypto';
import { randomFrom } from '../record/model-run.ts';

export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** @param probability from 0 (never) to 1 (always) */
  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** A whole number from `least` to `most`. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1));
  }

  /** A whole number from `least` to `most`; each power of ten is as likely as the next. */
  magnitude(least: number, most: number): number {
    const spread = Math.log(most + 1 - least + 1);
    return Math.min(most, least + Math.floor(Math.exp(this.#random() * spread)) - 1);
  }

  /** One of them; there must be one. */
  of<T>(items: readonly T[]): T {
    return items[this.whole(0, items.length - 1)] as T;
  }

  /** So many of them, or all, each once, in any order. */
  some<T>(items: readonly T[], count: number): T[] {
    return this.shuffled(items).slice(0, count);
  }

  shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, rank: this.#random() }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ item }) => item);
  }

  /** Each of them with this probability, in their order. */
  thinned<T>(items: readonly T[], probability: number): T[] {
    return items.filter(() => this.chance(probability));
  }
}

/**
 * Content that a mixed-up part, a prefix or another object's bytes are told from: no two labels share any of
 * it, and it does not repeat.
 */
export function contentOf(label: string, bytes: number): Buffer {
  const key = hash('md5', label, 'buffer');
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}
