/**
 * The words of a verification: what its stages hand each other. No I/O.
 *
 * lists ──KeyPage of both sides──▶ verify ──VerifiedPage──▶ record, with one VerifyCounters for the report.
 */
import type { ObjectKey } from './object-key.ts';

/** The states a key can end in; every key ends in exactly one. */
export const KEY_STATES = [
  /** Belongs to another host's shard. */
  'ignored',
  /** Nothing of what was compared differs, and that the content is the same is proven. */
  'same',
  /** Nothing of what was compared differs, but only the length tells of the content. */
  'unproven',
  'missingOnDestination',
  'missingOnSource',
  'differ',
  /** One side could not be read, and nothing was found to differ before that. */
  'error',
  /** Listed, but on neither side any more. */
  'gone',
] as const;
export type KeyState = (typeof KEY_STATES)[number];

/** Keys in each state. */
export type VerifyTotals = Readonly<Record<KeyState, number>>;

export const NOTHING_VERIFIED: VerifyTotals = {
  ignored: 0,
  same: 0,
  unproven: 0,
  missingOnDestination: 0,
  missingOnSource: 0,
  differ: 0,
  error: 0,
  gone: 0,
};

/** How many keys have ended in any of the states. */
export function keysVerified(totals: VerifyTotals): number {
  return KEY_STATES.reduce((sum, state) => sum + totals[state], 0);
}

/** Keys that are not as they should be. */
export function keysAtFault(totals: VerifyTotals): number {
  const { missingOnDestination, missingOnSource, differ, error } = totals;
  return missingOnDestination + missingOnSource + differ + error;
}

/**
 * As `rclone check --combined` has them: `=` the same, `-` missing on the source, `+` missing on the
 * destination, `*` on both sides but different, `!` an error while reading.
 */
export type FindingSymbol = '=' | '-' | '+' | '*' | '!';

/** One thing found out about a key. */
export interface Finding {
  readonly symbol: FindingSymbol;
  /** What was compared, or what is missing, or the error's code; see docs/formats.md. */
  readonly what: string;
  /** What each side has of it, as byte strings; empty where a side has nothing. */
  readonly source: string;
  readonly destination: string;
}

/** What became of one key. */
export interface VerifiedKey {
  readonly state: KeyState;
  readonly findings: readonly Finding[];
}

/** What became of the keys after those of the page before, up to `last`. Pages come in key order. */
export interface VerifiedPage {
  readonly last: ObjectKey;
  /** Ascending; keys without findings are left out. */
  readonly found: readonly { readonly key: ObjectKey; readonly findings: readonly Finding[] }[];
  /** All keys of the page. */
  readonly totals: VerifyTotals;
}

/** The live figures; the verification adds to them, the report samples them. */
export interface VerifyCounters {
  /** Of this start and those before it. */
  readonly totals: Record<KeyState, number>;
  /** Keys read from the lists, of earlier starts too. */
  objects: number;
  /** Keys under comparison. */
  working: number;
  /** Content bytes compared, of each side. */
  comparedBytes: number;
  /** Repeated requests. */
  retries: number;
  /** Bytes read of both sides' list files, and of all of them. */
  listBytes: number;
  listBytesTotal: number;
}

/** @param earlier what earlier starts have recorded */
export function newVerifyCounters(earlier: VerifyTotals, listBytesTotal: number): VerifyCounters {
  return {
    totals: { ...earlier },
    objects: keysVerified(earlier),
    working: 0,
    comparedBytes: 0,
    retries: 0,
    listBytes: 0,
    listBytesTotal,
  };
}
