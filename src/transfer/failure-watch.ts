/**
 * Tells failures of objects from what is wrong with a whole side, by the outcomes of all objects in the order
 * in which they end.
 *
 * A store that refuses one object after another for the same reason, and does nothing that contradicts it, has no
 * right or no room for any: then the run is stopped with the cause, instead of a million failures. Until that
 * is decided, the outcomes it hangs on are held back:
 *
 * - something else comes of an object behind them, or the bucket itself answers: they are failures of these objects;
 * - the run is stopped for it: these objects have no outcome, and the same command begins them again;
 * - the run ends otherwise: they are failures.
 *
 * What is not held back is recorded at once. What is held is bounded. Objects begin in key order: one that was under
 * way before, and ends well, says nothing of what the side does now.
 */
import { isUtf8 } from 'node:buffer';
import type { Outcome, Side, TransferFailure } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { displayKey, displayText, keyToBytes, type ObjectKey } from '../object-key.ts';
import { StoreError } from '../s3/object-store.ts';
import { denied, expired, full, revoked, type WatchedSide } from '../s3/refused-side.ts';
import { type SideRefusal, sideRefusal } from '../s3/side-refusals.ts';
import type { OpenPage } from './open-page.ts';

export interface FailureLimits {
  readonly sides: Readonly<Record<Side, WatchedSide>>;
  /** The run is stopped once so many objects have failed in it; never when undefined. */
  readonly maxFailures?: number | undefined;
  /**
   * Whether earlier runs have copied objects, so that one that begins in the middle of what may not be read
   * says nothing about the credentials.
   */
  readonly hasWorked: boolean;
}

export interface WatchEvents {
  /** An object's outcome is final. */
  onRecord(page: OpenPage, index: number, outcome: Outcome): void;
  /** The run cannot go on. Comes once. */
  onStop(error: MigrateError): void;
  /** {@link FailureWatch.asking} is over. */
  onAnswer(): void;
}

/** As many objects in a row, refused alike, are held to be more than failures of their own. */
const ENOUGH_IN_A_ROW = 10;
/** Most outcomes of a row that are held back while its bucket answers: each time twice as many as before. */
const MOST_IN_A_ROW = 1_000;
/** Outcomes that say nothing about a side and may come between two of a row. */
const MOST_BETWEEN = 1_000;

type Evidence = 'against' | 'none';

interface Rule {
  readonly side: Side;
  readonly refusal: SideRefusal;
  /** What an outcome that is no such refusal says about the side. */
  readonly evidence: (outcome: Outcome) => Evidence;
  /** Whether a row is the end, or the bucket is asked first once the side has worked. */
  readonly verdict: 'stop' | 'ask-bucket';
  readonly error: (side: WatchedSide, failure: TransferFailure, length: number) => MigrateError;
}

const BEHIND_THEM =
  'Where only these objects are denied, begin behind them: --start-after, with a new --log-folder.';

const RULES: readonly Rule[] = [
  {
    side: 'source',
    refusal: 'denied',
    evidence: (outcome) =>
      outcome.kind !== 'failed' || isAnswerOf('source', outcome.failure) ? 'against' : 'none',
    verdict: 'ask-bucket',
    error: (side, failure, count) =>
      denied(side, failure, { count, may: 'read', otherwise: BEHIND_THEM }),
  },
  {
    side: 'destination',
    refusal: 'denied',
    evidence: (outcome) => {
      switch (outcome.kind) {
        case 'copied':
        case 'skipped-upload':
          return 'against';
        case 'skipped-download':
          return 'none';
        case 'failed':
          return isAnswerOf('destination', outcome.failure) ? 'against' : 'none';
      }
    },
    verdict: 'ask-bucket',
    error: (side, failure, count) =>
      denied(side, failure, { count, may: 'write', otherwise: BEHIND_THEM }),
  },
  {
    side: 'destination',
    refusal: 'full',
    evidence: ({ kind }) => (kind === 'copied' ? 'against' : 'none'),
    verdict: 'stop',
    error: full,
  },
];

/** Whether the side's store itself has looked at the request, and not only the network or this tool. */
function isAnswerOf(side: Side, failure: TransferFailure): boolean {
  return failure.side === side && failure.status >= 400 && failure.status < 500;
}

type Failed = Outcome & { readonly kind: 'failed' };

interface Held {
  readonly page: OpenPage;
  readonly index: number;
  readonly outcome: Failed;
}

/** Refusals of one kind, with nothing between them that contradicts it. */
interface Row {
  readonly rule: Rule;
  readonly held: Held[];
  /** All since something spoke against it, also those no longer held. */
  length: number;
  /** How many may be held before it is decided. */
  limit: number;
  /** Outcomes without evidence since the last of the row. */
  between: number;
  /** Whether the side has been seen to work. */
  hasWorked: boolean;
  isAsking: boolean;
}

export class FailureWatch {
  readonly #limits: FailureLimits;
  readonly #events: WatchEvents;
  readonly #rows: readonly Row[];
  #failed = 0;
  /** Whether nothing has been taken since {@link settle} was called last. */
  #isQuiet = false;
  /** Set once the run is stopped; with the row that it is stopped for, where it is one. */
  #stopped: { readonly row: Row | undefined } | undefined;

  constructor(limits: FailureLimits, events: WatchEvents) {
    this.#limits = limits;
    this.#events = events;
    this.#rows = RULES.map((rule) => ({
      rule,
      held: [],
      length: 0,
      limit: ENOUGH_IN_A_ROW,
      between: 0,
      hasWorked: limits.hasWorked,
      isAsking: false,
    }));
  }

  /** Whether a bucket has been asked whether it may still be used, and has not answered yet. */
  get asking(): boolean {
    return this.#rows.some((row) => row.isAsking);
  }

  /** Takes what has become of an object, in the order in which they end. */
  take(page: OpenPage, index: number, outcome: Outcome): void {
    this.#isQuiet = false;
    const refusal = outcome.kind === 'failed' ? refusalOf(outcome) : undefined;
    if (outcome.kind === 'failed' && refusal === 'expired') {
      const { failure } = outcome;
      this.#stop(undefined, expired(this.#limits.sides[failure.side], failure));
      return;
    }
    let isHeld = false;
    for (const row of this.#rows) {
      const { side, refusal: watched, evidence } = row.rule;
      if (outcome.kind === 'failed' && refusal === watched && outcome.failure.side === side) {
        isHeld = true;
        this.#hold(row, { page, index, outcome });
      } else {
        this.#weigh(row, evidence(outcome), outcome.key);
      }
    }
    if (!isHeld) this.#record(page, index, outcome);
  }

  /**
   * To be called now and then when nothing is under way. What has been held from one call to the next, with
   * nothing taken in between, is recorded: the log waits for it, and who fills the pages may wait for the log. The
   * rows go on.
   */
  settle(): void {
    const isQuiet = this.#isQuiet;
    this.#isQuiet = true;
    if (!isQuiet) return;
    for (const row of this.#rows) if (!row.isAsking) this.#release(row);
  }

  /** To be called when the run has ended. */
  end(): void {
    for (const row of this.#rows) this.#release(row);
  }

  #hold(row: Row, held: Held): void {
    if (this.#stopped?.row === row) return;
    const { rule } = row;
    row.held.push(held);
    row.length++;
    row.between = 0;
    if (this.#stopped !== undefined || row.isAsking) {
      if (row.held.length > MOST_IN_A_ROW) this.#release(row);
    } else if (row.length >= ENOUGH_IN_A_ROW && isVerdict(row, held.outcome.failure)) {
      const { failure } = held.outcome;
      this.#stop(row, rule.error(this.#limits.sides[rule.side], failure, row.length));
    } else if (row.held.length >= row.limit) {
      void this.#askBucket(row, held.outcome.failure);
    }
  }

  #weigh(row: Row, evidence: Evidence, key: ObjectKey): void {
    if (evidence === 'against') {
      row.hasWorked = true;
      if (row.length > 0) this.#contradict(row, key);
    } else if (row.length > 0 && !row.isAsking) {
      row.between++;
      if (row.between > MOST_BETWEEN) this.#contradict(row, undefined);
    }
  }

  /** @param by - the key of the object that ended well; undefined: whatever the keys are */
  #contradict(row: Row, by: ObjectKey | undefined): void {
    for (const held of row.held.splice(0)) {
      if (by !== undefined && held.outcome.key > by) row.held.push(held);
      else this.#record(held.page, held.index, held.outcome);
    }
    row.length = row.held.length;
    row.between = 0;
    if (row.length === 0) row.limit = ENOUGH_IN_A_ROW;
  }

  /** Never rejects. */
  async #askBucket(row: Row, failure: TransferFailure): Promise<void> {
    row.isAsking = true;
    const side = this.#limits.sides[row.rule.side];
    const { length } = row;
    const answer = await side.headBucket().then(
      () => undefined,
      (error: unknown) => error,
    );
    row.isAsking = false;
    if (answer instanceof MigrateError) this.#stop(row, answer);
    else if (answer instanceof StoreError && sideRefusal(answer) !== undefined) {
      this.#stop(row, revoked(side, failure, `${length} objects in a row`));
    } else {
      row.limit = Math.min(MOST_IN_A_ROW, row.limit * 2);
      this.#release(row);
    }
    this.#events.onAnswer();
  }

  #stop(row: Row | undefined, error: MigrateError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = { row };
    row?.held.splice(0);
    this.#events.onStop(error);
  }

  #release(row: Row): void {
    for (const { page, index, outcome } of row.held.splice(0)) this.#record(page, index, outcome);
  }

  #record(page: OpenPage, index: number, outcome: Outcome): void {
    this.#events.onRecord(page, index, outcome);
    if (outcome.kind !== 'failed') return;
    this.#failed++;
    const { maxFailures } = this.#limits;
    if (this.#failed === maxFailures) this.#stop(undefined, tooMany(maxFailures, outcome));
  }
}

/** Whether a row that is long enough needs no word of the bucket's. Some stores say 400 to a HEAD of an odd key, too. */
function isVerdict({ rule, hasWorked }: Row, { code }: TransferFailure): boolean {
  return rule.verdict === 'stop' || (!hasWorked && code !== 'HTTP 400');
}

/** MinIO says SignatureDoesNotMatch of a key that is not UTF-8, whatever the credentials. */
function refusalOf({ key, failure }: Failed): SideRefusal | undefined {
  const refusal = sideRefusal(failure);
  return refusal === 'denied' && !isUtf8(keyToBytes(key)) ? undefined : refusal;
}

function tooMany(maxFailures: number, { key, failure: { code, message } }: Failed): MigrateError {
  const objects = maxFailures === 1 ? '1 object' : `${maxFailures} objects`;
  return new MigrateError(
    `${objects} failed (--max-failures ${maxFailures}); last: ${displayKey(key)}: ${displayText(code)} ${displayText(message)}`,
    {
      exitCode: 3,
      hint: 'See failed.log for all of them; s3migrate --failed-to-folder makes lists of them, to be tried again.',
    },
  );
}
