/**
 * What a copy works with: shared by all objects, and kept for one.
 */
import type { Counters } from '../domain.ts';
import type { ObjectStore } from '../s3/object-store.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { RetryPolicy } from './retry.ts';

export interface CopyContext {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly counters: Counters;
  readonly budget: MemoryBudget;
  readonly retry: RetryPolicy;
  /** Objects longer than this are copied in parts. */
  readonly multipartThresholdBytes: number;
  /** Runs a part when it is its turn; bounds the parts of all objects under way. */
  readonly partTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Parts of one object that may wait for their turn or be under way. */
  readonly partWindow: number;
  /** Wall clock, ms since the epoch. */
  readonly now: () => number;
  /** What was learnt about the source on the way, shared by all transfers. */
  readonly learnt: { etagIsNoMd5: boolean };
}

/** What one object's earlier attempts have left behind. */
export interface CopyState {
  /** A write of ours whose answer was lost. */
  mayHaveLanded:
    | {
        /** What its object's ETag would be, in lower case; undefined when that cannot be told. */
        readonly etag: string | undefined;
        readonly bytes: number;
        /** Bytes it sent that are not in the counters yet. */
        readonly uncountedBytes: number;
      }
    | undefined;
  /** MD5 of content that the destination refused as not fitting the source's ETag. */
  refusedMd5: string | undefined;
  /** The object was seen to change while it was read. */
  changed: boolean;
}
