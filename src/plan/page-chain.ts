/**
 * The ranges of plan pages: each begins where the one before ended, and none crosses the border of
 * what an earlier run has done. A border is always the end of a page, if need be of one without keys,
 * so that the record can put the earlier run's pages in between.
 */
import { Decision, type DoneRange, type PlanPage } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';

/** Keys with their decisions, all after those before them. */
export interface DecidedKeys {
  /** Strictly ascending. */
  readonly keys: readonly ObjectKey[];
  /** One a key. */
  readonly decisions: Uint8Array;
  readonly listBytes: number;
}

/** A range of keys up to `last`, from the one before or the start of the chain; done as a whole or not. */
interface Stretch {
  readonly last: ObjectKey;
  readonly done: boolean;
}

export class PageChain {
  #after: ObjectKey;
  #listBytes = 0;
  readonly #stretches: readonly Stretch[];
  #stretch = 0;

  /** @param doneRanges ascending and disjoint; what of them is not beyond `after` does not matter */
  constructor(after: ObjectKey, doneRanges: readonly DoneRange[]) {
    this.#after = after;
    this.#stretches = stretchesOf(after, doneRanges);
  }

  /** The pages that lead up to the last of the keys. */
  *pagesOf({ keys, decisions, listBytes }: DecidedKeys): Generator<PlanPage, void, undefined> {
    const lastKey = keys.at(-1);
    if (lastKey === undefined) return;
    let start = 0;
    for (let stretch = this.#next(); stretch !== undefined && stretch.last <= lastKey; ) {
      const end = firstAfter(stretch.last, keys, start);
      const isLast = end === keys.length;
      yield this.#link(stretch.last, {
        keys: keys.slice(start, end),
        decisions: decisions.subarray(start, end),
        listBytes: isLast ? listBytes : this.#listBytes,
      });
      start = end;
      stretch = this.#next();
    }
    if (start === keys.length) return;
    yield this.#link(lastKey, {
      keys: start === 0 ? keys : keys.slice(start),
      decisions: decisions.subarray(start),
      listBytes,
    });
  }

  /** The pages that lead to the borders beyond the last key. */
  *rest(): Generator<PlanPage, void, undefined> {
    for (let stretch = this.#next(); stretch !== undefined; stretch = this.#next()) {
      yield this.#link(stretch.last, {
        keys: [],
        decisions: new Uint8Array(),
        listBytes: this.#listBytes,
      });
    }
  }

  #next(): Stretch | undefined {
    return this.#stretches[this.#stretch];
  }

  #link(last: ObjectKey, decided: DecidedKeys): PlanPage {
    const page = { after: this.#after, last, ...decided };
    const stretch = this.#next();
    if (stretch?.done === true) markDone(decided.decisions);
    if (stretch?.last === last) this.#stretch++;
    this.#after = last;
    this.#listBytes = decided.listBytes;
    return page;
  }
}

function stretchesOf(after: ObjectKey, doneRanges: readonly DoneRange[]): Stretch[] {
  const stretches: Stretch[] = [];
  let reached = after;
  for (const range of doneRanges) {
    if (range.after > reached) stretches.push({ last: range.after, done: false });
    if (range.last > reached) stretches.push({ last: (reached = range.last), done: true });
  }
  return stretches;
}

function markDone(decisions: Uint8Array): void {
  for (let i = 0; i < decisions.length; i++) {
    if (decisions[i] === Decision.transfer) decisions[i] = Decision.done;
  }
}

/** The index of the first key beyond `border`, from `start` on. */
function firstAfter(border: ObjectKey, keys: readonly ObjectKey[], start: number): number {
  let low = start;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as ObjectKey) <= border) low = middle + 1;
    else high = middle;
  }
  return low;
}
