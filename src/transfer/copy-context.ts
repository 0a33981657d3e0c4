/**
 * What a copy works with: shared by all objects, and kept for one.
 */
import type { Counters } from '../domain.ts';
import type { ObjectStore } from '../s3/object-store.ts';
import type { ContentBuffers } from './content-buffers.ts';
import type { CopiedPart, PartJob } from './copy-part.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PartBuffers } from './part-buffers.ts';
import type { PartProof } from './part-proof.ts';
import type { RetryPolicy } from './retry.ts';

export interface CopyContext {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly counters: Counters;
  readonly budget: MemoryBudget;
  readonly contentBuffers: ContentBuffers;
  readonly partBuffers: PartBuffers;
  readonly retry: RetryPolicy;
  /** Objects longer than this are copied in parts. */
  readonly multipartThresholdBytes: number;
  /** Length of a part, 5 MiB to 5 GiB; chosen by {@link planParts} when undefined. */
  readonly partBytes?: number | undefined;
  /**
   * Copies a part when it is its turn; bounds the parts of all objects under way. One that is `unwanted`
   * before its turn comes is not begun, and rejected with the signal's reason.
   */
  readonly copyPart: (job: PartJob, unwanted: AbortSignal) => Promise<CopiedPart>;
  /** Parts of one object that may wait for their turn or be under way. */
  readonly partWindow: number;
  /** Tells the operator what a run should not go on without knowing. */
  readonly warn: (message: string) => void;
  /** Wall clock, ms since the epoch. */
  readonly now: () => number;
  /** What was learnt about the source on the way, shared by all transfers. */
  readonly learnt: Learnt;
}

interface Learnt {
  /**
   * Whether ETags that look like MD5s are such. `md5` once the destination has accepted content under
   * one: then a single object that does not fit its own says nothing about the others.
   */
  sourceEtags: 'untried' | 'md5' | 'other';
  /** What holds the parts of uploads to what was sent; a promise while that is being found out. */
  partProof?: PartProof | Promise<PartProof> | undefined;
}

/** What one object's earlier attempts have left behind. */
export interface CopyState {
  /** A write of ours whose answer was lost. */
  mayHaveLanded:
    | {
        /** What its object's ETag would be where the destination makes it of MD5s; in lower case. */
        readonly etag: string;
        readonly bytes: number;
        /** Bytes it sent that are not in the counters yet. */
        readonly uncountedBytes: number;
      }
    | undefined;
  /** MD5 of content that the destination refused as not fitting the source's ETag. */
  refusedMd5: string | undefined;
  /** The ETag was found to be no MD5 of this object. */
  etagIsNoMd5: boolean;
  /** The content has been read to its end, and counted. */
  downloaded: boolean;
  /** The object was seen to change while it was read. */
  changed: boolean;
}

export function newCopyState(): CopyState {
  return {
    mayHaveLanded: undefined,
    refusedMd5: undefined,
    etagIsNoMd5: false,
    downloaded: false,
    changed: false,
  };
}

/** Counts an object whose content is complete; once, however often it is read. */
export function countDownload(state: CopyState, { counters }: CopyContext): void {
  if (!state.downloaded) counters.downloaded++;
  state.downloaded = true;
}
