/**
 * What went wrong in a run, as few lines as a person can take in: failures grouped by kind, with
 * examples, and the keys the source did not have.
 *
 * failed.log has every one; this keeps only counts and a few examples, so its memory does not grow
 * with the number of failures.
 */
import {
  type ExistingDetail,
  lossesIn,
  type Outcome,
  type Side,
  type TransferFailure,
} from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';

const MAX_GROUPS = 16;
const MAX_EXAMPLES = 3;

interface FailureExample {
  readonly key: ObjectKey;
  /** As it came from the server: make it safe before showing it. */
  readonly message: string;
}

/** Failures with the same code on the same side. */
export interface FailureGroup {
  readonly code: string;
  readonly side: Side;
  readonly count: number;
  /** The first ones seen, at most three. */
  readonly examples: readonly FailureExample[];
}

/** The figures at one moment, as plain data. */
export interface FailureDigest {
  /** The most frequent first. */
  readonly groups: readonly FailureGroup[];
  /** Failures of further kinds, once there were 16 groups. */
  readonly other: number;
  /** Listed keys the source answered 404 for. */
  readonly skippedDownloads: { readonly count: number; readonly examples: readonly ObjectKey[] };
  /** Skipped uploads, by what is known of the object that was there. */
  readonly existing: Readonly<Record<ExistingDetail, number>>;
  /** Objects copied without all that belongs to them; `kinds` by the words of their detail, the most frequent first. */
  readonly losses: {
    readonly objects: number;
    readonly kinds: readonly { readonly kind: string; readonly count: number }[];
  };
}

interface OpenGroup {
  readonly code: string;
  readonly side: Side;
  count: number;
  readonly examples: FailureExample[];
}

export class FailureGroups {
  readonly #groups = new Map<string, OpenGroup>();
  #other = 0;
  #skippedDownloads = 0;
  readonly #skippedExamples: ObjectKey[] = [];
  readonly #existing = {
    exists: 0,
    'exists-same': 0,
    'exists-differs': 0,
    'exists-same-length': 0,
  };

  #lossyObjects = 0;
  readonly #losses = new Map<string, number>();

  /** Takes any outcome; those that went well are none of its business. */
  add(outcome: Outcome): void {
    switch (outcome.kind) {
      case 'copied':
        this.#addLosses(lossesIn(outcome.detail));
        return;
      case 'skipped-upload':
        this.#existing[outcome.detail as ExistingDetail]++;
        return;
      case 'skipped-download':
        this.#skippedDownloads++;
        if (this.#skippedExamples.length < MAX_EXAMPLES) this.#skippedExamples.push(outcome.key);
        return;
      case 'failed':
        this.#addFailure(outcome.key, outcome.failure);
    }
  }

  digest(): FailureDigest {
    return {
      groups: [...this.#groups.values()]
        .map((group) => ({ ...group, examples: [...group.examples] }))
        .toSorted((a, b) => b.count - a.count),
      other: this.#other,
      skippedDownloads: {
        count: this.#skippedDownloads,
        examples: [...this.#skippedExamples],
      },
      existing: { ...this.#existing },
      losses: {
        objects: this.#lossyObjects,
        kinds: Array.from(this.#losses, ([kind, count]) => ({ kind, count })).toSorted(
          (a, b) => b.count - a.count,
        ),
      },
    };
  }

  #addLosses(kinds: readonly string[]): void {
    if (kinds.length === 0) return;
    this.#lossyObjects++;
    for (const kind of kinds) this.#losses.set(kind, (this.#losses.get(kind) ?? 0) + 1);
  }

  #addFailure(key: ObjectKey, { code, side, message }: TransferFailure): void {
    const id = `${side} ${code}`;
    let group = this.#groups.get(id);
    if (group === undefined) {
      if (this.#groups.size === MAX_GROUPS) {
        this.#other++;
        return;
      }
      group = { code, side, count: 0, examples: [] };
      this.#groups.set(id, group);
    }
    group.count++;
    if (group.examples.length < MAX_EXAMPLES) group.examples.push({ key, message });
  }
}
