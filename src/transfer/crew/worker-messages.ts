/**
 * What the main thread and the worker threads of a transfer say to each other: plain data.
 *
 * Objects travel in slices and outcomes in batches, because a message costs as much as an object may.
 */
import type { LoadState, Outcome, Side } from '../../domain.ts';
import { RunEnding } from '../../load/retry.ts';
import type { ObjectKey } from '../../object-key.ts';
import type { TemporaryCredentials } from '../../s3/keyring.ts';
import { StoreError, type StoreErrorOptions, type UploadedPart } from '../../s3/object-store.ts';
import type { WireObjectStoreOptions } from '../../s3/wire-object-store.ts';
import type { CopyPolicy } from '../copy-policy.ts';
import type { PartJob } from '../parts/part-job.ts';
import { TransferError } from '../transfer-error.ts';
import type { JournalAnswer, JournalNote, JournalQuestion } from './remote-journal.ts';
import { errorOf, type Failure, failureOf } from './worker-failure.ts';

/** What a worker is started with. */
export interface WorkerOptions {
  readonly source: WireObjectStoreOptions;
  readonly destination: WireObjectStoreOptions;
  /** The sides whose credentials are renewed: by the main thread, which is asked for them. */
  readonly renewed: readonly Side[];
  /** This worker's places, and its part of the memory for collected bodies. */
  readonly threads: number;
  readonly memoryBytes: number;
  readonly threadsMin: number;
  readonly maxOutageMs: number;
  readonly multipartThresholdBytes: number;
  readonly partBytes: number | undefined;
  readonly policy: CopyPolicy;
  /** Parts of one object that may be asked for at once, of all workers together. */
  readonly partWindow: number;
  /** This worker's, for {@link beat}. */
  readonly pulse: SharedArrayBuffer;
  /** Of one Int32: how many objects wait for a worker. */
  readonly waiting: SharedArrayBuffer;
  /** Of one Int32: how many workers have reset their connections. */
  readonly left: SharedArrayBuffer;
}

export type ToWorker =
  /** Copy these, in this order. */
  | { readonly kind: 'copy'; readonly slice: number; readonly keys: readonly ObjectKey[] }
  | { readonly kind: 'copy-part'; readonly id: number; readonly job: PartJob }
  /** What became of a part that this worker has asked for. */
  | { readonly kind: 'part-end'; readonly id: number; readonly end: PartEnd }
  /** What the journal says to what this worker has asked. */
  | { readonly kind: 'journal-answer'; readonly id: number; readonly answer: JournalAnswer }
  /** What was asked for by `ask-credentials`. */
  | { readonly kind: 'credentials'; readonly side: Side; readonly answer: CredentialsAnswer }
  /** Come to an end with what was handed out already; answered by `stopped`. */
  | { readonly kind: 'stop' }
  /** Nothing is under way: end connections and thread. */
  | { readonly kind: 'close' }
  /** Reset all connections at once. */
  | { readonly kind: 'leave' };

export type FromWorker =
  | {
      readonly kind: 'progress';
      readonly outcomes: readonly SliceOutcomes[];
      readonly added: AddedCounts;
    }
  | { readonly kind: 'ask-part'; readonly id: number; readonly job: PartJob }
  /** A part that was asked for is not wanted any more. */
  | { readonly kind: 'drop-part'; readonly id: number }
  | { readonly kind: 'part-end'; readonly id: number; readonly end: PartEnd }
  | { readonly kind: 'ask-journal'; readonly id: number; readonly question: JournalQuestion }
  | { readonly kind: 'journal-note'; readonly note: JournalNote }
  /** Others than these are needed. Asked once at a time for each side. */
  | {
      readonly kind: 'ask-credentials';
      readonly side: Side;
      readonly outdated: TemporaryCredentials;
    }
  | { readonly kind: 'warning'; readonly message: string }
  /** What the stores allow has changed since it was told last. */
  | { readonly kind: 'load'; readonly load: LoadState }
  /** Nothing is under way, and nothing will be begun. */
  | { readonly kind: 'stopped' }
  /** What makes every object fail. */
  | { readonly kind: 'failure'; readonly failure: Failure };

export type CredentialsAnswer =
  /** The very same where there are no newer ones. */
  | { readonly kind: 'given'; readonly credentials: TemporaryCredentials }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** Outcomes of one slice, each with its key's place in it. */
export interface SliceOutcomes {
  readonly slice: number;
  /** The copied ones by column: they are nearly all, and so they cost least to send. */
  readonly copied: {
    readonly at: number[];
    readonly bytes: number[];
    readonly etags: string[];
    readonly details: string[];
  };
  readonly others: { readonly at: number; readonly outcome: Outcome }[];
}

/** The counters that are the crew's, as what has been added since they were told last. */
export const CREW_COUNTERS = ['downloaded', 'downloadedBytes', 'uploadedBytes', 'retries'] as const;
export type AddedCounts = Readonly<Record<(typeof CREW_COUNTERS)[number], number>>;

export type PartEnd =
  | { readonly kind: 'copied'; readonly part: UploadedPart }
  | { readonly kind: 'run-ending' }
  | {
      readonly kind: 'failed';
      readonly side: TransferError['side'];
      readonly attempts: number;
      readonly message: string;
      readonly error: StoreErrorOptions;
    }
  | { readonly kind: 'broken'; readonly failure: Failure };

export function partEndOf(error: unknown): PartEnd {
  if (error instanceof RunEnding) return { kind: 'run-ending' };
  if (!(error instanceof TransferError)) return { kind: 'broken', failure: failureOf(error) };
  const { side, attempts, cause } = error;
  const { kind, code, status, mayHaveLanded, stale, retryAfterMs, region } = cause;
  const options = { kind, code, status, mayHaveLanded, stale, retryAfterMs, region };
  return { kind: 'failed', side, attempts, message: cause.message, error: options };
}

/** @throws what the part's copy threw */
export function partOf(end: PartEnd): UploadedPart {
  switch (end.kind) {
    case 'copied':
      return end.part;
    case 'run-ending':
      throw new RunEnding('the run comes to its end');
    case 'failed':
      throw new TransferError(end.side, new StoreError(end.message, end.error), end.attempts);
    case 'broken':
      throw errorOf(end.failure);
  }
}
