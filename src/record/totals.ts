/**
 * What is counted of a run over all its starts: keys and bytes, and failures by their code.
 */
import type { ObjectKey } from '../object-key.ts';

/** Keys in each state a key can end in, and the bytes of those copied. */
export interface RunTotals {
  readonly copied: number;
  /** Content bytes of the copied objects. */
  readonly bytes: number;
  readonly skippedDownload: number;
  readonly skippedUpload: number;
  readonly failed: number;
  readonly ignored: number;
  readonly exists: number;
}

export const NO_TOTALS: RunTotals = {
  copied: 0,
  bytes: 0,
  skippedDownload: 0,
  skippedUpload: 0,
  failed: 0,
  ignored: 0,
  exists: 0,
};

export function addTotals(a: RunTotals, b: RunTotals): RunTotals {
  return {
    copied: a.copied + b.copied,
    bytes: a.bytes + b.bytes,
    skippedDownload: a.skippedDownload + b.skippedDownload,
    skippedUpload: a.skippedUpload + b.skippedUpload,
    failed: a.failed + b.failed,
    ignored: a.ignored + b.ignored,
    exists: a.exists + b.exists,
  };
}

export interface FailureExample {
  readonly key: ObjectKey;
  readonly message: string;
}

/** All failures with one code. */
export interface ErrorClass {
  readonly code: string;
  readonly count: number;
  /** The first ones met, three at most. */
  readonly examples: readonly FailureExample[];
}

const EXAMPLES_PER_CLASS = 3;
const MAX_CLASSES = 50;
/** Takes the failures whose code comes after the first {@link MAX_CLASSES} ones: servers invent codes. */
const OTHER = 'other';

/** Groups failures by code, in bounded memory. */
export class ErrorTally {
  readonly #classes = new Map<string, { count: number; examples: FailureExample[] }>();

  constructor(classes: readonly ErrorClass[] = []) {
    this.merge(classes);
  }

  add(code: string, example: FailureExample): void {
    this.#add(code, 1, [example]);
  }

  merge(classes: readonly ErrorClass[]): void {
    for (const { code, count, examples } of classes) this.#add(code, count, examples);
  }

  /** A copy, in the order in which the codes were met. */
  classes(): ErrorClass[] {
    return [...this.#classes].map(([code, { count, examples }]) => ({
      code,
      count,
      examples: [...examples],
    }));
  }

  #add(code: string, count: number, examples: readonly FailureExample[]): void {
    const name = this.#classes.has(code) || this.#classes.size < MAX_CLASSES ? code : OTHER;
    let entry = this.#classes.get(name);
    if (entry === undefined) this.#classes.set(name, (entry = { count: 0, examples: [] }));
    entry.count += count;
    entry.examples.push(...examples.slice(0, EXAMPLES_PER_CLASS - entry.examples.length));
  }
}
