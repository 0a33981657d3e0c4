/**
 * The pages that are done ahead of the position, as ranges that have not met it yet.
 *
 * Ranges that touch are one range, so what is held grows with the pages under way and the files in
 * migrate.ahead/, not with keys: a billion keys that need nothing, behind one stuck object, are one
 * range.
 */
import type { ObjectKey } from '../object-key.ts';
import type { AheadFile } from './ahead-pages.ts';

/** Every key K with `after` < K ≤ `last` is done. */
export interface AheadRange {
  readonly after: ObjectKey;
  readonly last: ObjectKey;
  /** Keys of it that needed no transfer. */
  readonly ignored: number;
  readonly exists: number;
  /** Its records, in key order. */
  readonly files: readonly AheadFile[];
}

interface Joined {
  after: ObjectKey;
  last: ObjectKey;
  ignored: number;
  exists: number;
  files: AheadFile[];
}

export class PageChain {
  readonly #byAfter = new Map<ObjectKey, Joined>();
  readonly #byLast = new Map<ObjectKey, Joined>();

  /** Ranges held. */
  get size(): number {
    return this.#byAfter.size;
  }

  /** Adds a range that overlaps none of those held. */
  add(range: AheadRange): void {
    let joined: Joined = { ...range, files: [...range.files] };
    const before = this.#byLast.get(range.after);
    if (before !== undefined) {
      this.#remove(before);
      joined = join(before, joined);
    }
    const behind = this.#byAfter.get(range.last);
    if (behind !== undefined) {
      this.#remove(behind);
      joined = join(joined, behind);
    }
    this.#byAfter.set(joined.after, joined);
    this.#byLast.set(joined.last, joined);
  }

  /** Removes and returns the range that begins at the position, if there is one. */
  take(position: ObjectKey): AheadRange | undefined {
    const range = this.#byAfter.get(position);
    if (range !== undefined) this.#remove(range);
    return range;
  }

  #remove(range: Joined): void {
    this.#byAfter.delete(range.after);
    this.#byLast.delete(range.last);
  }
}

/** Reuses the first one's list: a long range grows at its end, page by page. */
function join(first: Joined, second: Joined): Joined {
  for (const file of second.files) first.files.push(file);
  first.last = second.last;
  first.ignored += second.ignored;
  first.exists += second.exists;
  return first;
}
