/**
 * What a copy works with: shared by all objects, and kept for one.
 */
import type { Counters, PartProof, UploadJournal } from '../domain.ts';
import type { RetryContext } from '../load/retry.ts';
import type { Checksum, ObjectHead, ObjectStore, UploadedPart } from '../s3/object-store.ts';
import type { Header } from '../wire/signature.ts';
import type { ContentBuffers } from './content-buffers.ts';
import type { CopyPolicy, LossClass } from './copy-policy.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { PartBuffers } from './parts/part-buffers.ts';
import type { PartJob } from './parts/part-job.ts';

export interface CopyContext extends RetryContext {
  readonly source: ObjectStore;
  readonly destination: ObjectStore;
  readonly counters: Counters;
  readonly budget: MemoryBudget;
  readonly contentBuffers: ContentBuffers;
  readonly partBuffers: PartBuffers;
  readonly policy: CopyPolicy;
  /** Objects longer than this are copied in parts. */
  readonly multipartThresholdBytes: number;
  /** Length of a part, 5 MiB to 5 GiB; chosen by {@link planParts} when undefined. */
  readonly partBytes?: number | undefined;
  /**
   * Copies a part when it is its turn; bounds the parts of all objects under way. One that is `unwanted`
   * before its turn comes is not begun, and rejected with the signal's reason.
   */
  readonly copyPart: (job: PartJob, unwanted: AbortSignal) => Promise<UploadedPart>;
  /** Parts of one object that may wait for their turn or be under way. */
  readonly partWindow: number;
  /** Told what is begun at the destination and may be left there. */
  readonly uploads: UploadJournal;
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
  /**
   * Whether ETags of parts are made of MD5s: `md5` once the same parts have made the same ETag at the
   * destination, `other` when twice they have not.
   */
  sourcePartEtags?: 'md5' | 'other' | undefined;
  /** Whether the source tells the lengths of parts; undefined while it was not asked. */
  partLengths?: 'told' | 'untold' | undefined;
  /** What holds the parts of uploads to what was sent; a promise while that is being found out. */
  partProof?: PartProof | Promise<PartProof> | undefined;
}

/** What one object's earlier attempts have left behind. */
export interface CopyState {
  /** What the source has, as far as it was seen. */
  object: ObjectHead | undefined;
  /** A write of ours whose answer was lost. */
  mayHaveLanded:
    | {
        /** What its object's ETag would be where the destination makes it of MD5s, in lower case; if known. */
        readonly etag: string | undefined;
        /** What was sent along instead of an MD5. */
        readonly checksum?: Checksum | undefined;
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
  /** What came of an earlier attempt was found wrong, and is not at the destination any more. */
  triedAgain: boolean;
  /** An upload of it was not there any more, and it was begun anew. */
  uploadWasGone: boolean;
  /** Headers of the object that the request under way may be refused for; none where it carries none. */
  offered: readonly Header[];
  /** What the destination, or the source, has refused to take or to give for this object. */
  refused: readonly LossClass[];
  /** What the object goes without, by the attempt under way. */
  lost: readonly LossClass[];
}

const NONE: readonly never[] = [];

export function newCopyState(): CopyState {
  return {
    object: undefined,
    mayHaveLanded: undefined,
    refusedMd5: undefined,
    etagIsNoMd5: false,
    downloaded: false,
    changed: false,
    triedAgain: false,
    uploadWasGone: false,
    offered: NONE,
    refused: NONE,
    lost: NONE,
  };
}

/** Counts an object whose content is complete; once, however often it is read. */
export function countDownload(state: CopyState, { counters }: CopyContext): void {
  if (!state.downloaded) counters.downloaded++;
  state.downloaded = true;
}
