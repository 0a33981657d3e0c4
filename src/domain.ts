/**
 * The words of a migration: what the stages hand each other. No I/O.
 *
 * lists ──KeyPage──▶ plan ──PlanPage──▶ transfer ──OutcomePage──▶ record, with one Counters for the
 * report. The page is the unit of everything: an async step for each key would cost more than the
 * work on it.
 */
import type { ObjectKey } from './object-key.ts';

/** Some thousand keys of a sorted list, strictly ascending. */
export interface KeyPage {
  readonly keys: readonly ObjectKey[];
  /** Bytes of the list files consumed up to the end of this page; files skipped whole count as consumed. */
  readonly listBytes: number;
}

/** What the plan decided about one key of the source list. */
export const Decision = {
  /** Belongs to another host's shard. */
  ignored: 0,
  /** Is in the destination's list. */
  exists: 1,
  /** Is to be copied. */
  transfer: 2,
  /** Would be `transfer`, but an earlier run has recorded it (see {@link DoneRange}); counts in none of this run's states. */
  done: 3,
} as const;
export type Decision = (typeof Decision)[keyof typeof Decision];

/**
 * A range of keys all of whose transfers are recorded already: every key K with after < K ≤ last.
 */
export interface DoneRange {
  readonly after: ObjectKey;
  readonly last: ObjectKey;
}

/**
 * The plan for a range of the source list: every key K with `after` < K ≤ `last`.
 *
 * Pages chain (`after` is the `last` of the page before, and where the run starts for the first), and
 * no page crosses the border of a {@link DoneRange}: such a border is always the `last` of a page.
 */
export interface PlanPage {
  readonly after: ObjectKey;
  /** At or after the last of `keys`. */
  readonly last: ObjectKey;
  /** Strictly ascending; none when a done range begins before the next key. */
  readonly keys: readonly ObjectKey[];
  /** One {@link Decision} a key. */
  readonly decisions: Uint8Array;
  /** See {@link KeyPage.listBytes}. */
  readonly listBytes: number;
}

/** Where in an exchange a transfer failed. */
export type Side = 'source' | 'destination';

export const SIDES: readonly Side[] = ['source', 'destination'];

/** A store that does not answer: for how long it has not, and what came instead of an answer last. */
export interface Outage {
  readonly forMs: number;
  readonly why: string;
}

/** What one store is asked for at present. */
export interface SideState {
  /** Exchanges that may be under way; of at most `most`. */
  readonly places: number;
  readonly most: number;
  /** Exchanges that may begin a second; undefined when that is not limited. */
  readonly perSecond: number | undefined;
  /** Once nothing was to be had of the store for more than a moment. */
  readonly down: Outage | undefined;
}

export type LoadState = Readonly<Record<Side, SideState>>;

export interface TransferFailure {
  /** A stable word in the store's or this tool's vocabulary: `AccessDenied`, `source-truncated`, `timeout`. */
  readonly code: string;
  /** HTTP status of the last answer; 0 when there was none. */
  readonly status: number;
  readonly attempts: number;
  /** One sentence, without secrets; text from servers is kept as it came. */
  readonly message: string;
  readonly side: Side;
  /** When the last attempt ended, in ms since the epoch. */
  readonly at: number;
}

/**
 * The detail of an upload that was skipped: whether what the destination has is the source's object.
 * `exists` where nobody looked.
 */
export type ExistingDetail = 'exists' | 'exists-same' | 'exists-differs' | 'exists-same-length';

const LOST = '; lost: ';
const NONE: readonly string[] = [];

/** The detail of a copied object that goes without some of what belongs to it, for {@link lossesIn}. */
export function withLosses(proof: string, lost: readonly string[]): string {
  return lost.length === 0 ? proof : `${proof}${LOST}${lost.join(' ')}`;
}

/** The kinds of what an object goes without, as its detail tells. */
export function lossesIn(detail: string): readonly string[] {
  const at = detail.indexOf(LOST);
  return at < 0 ? NONE : detail.slice(at + LOST.length).split(' ');
}

/** What tells one version of a source's object from another. */
export interface ObjectVersion {
  readonly bytes: number;
  /** Empty where the source has none. */
  readonly etag: string;
  /** As the source tells it; for comparing two answers. */
  readonly lastModified: string;
}

/** How it is known that a destination has the bytes of a part that was sent to it. */
export type PartProof =
  /** It was seen to refuse a part whose CRC32 is wrong. */
  | 'crc32'
  /** It was seen to refuse a part whose Content-MD5 is wrong, or is trusted to do so. */
  | 'md5'
  /** It was seen to give the MD5 of a part as the part's ETag, and that is compared. */
  | 'etag'
  /** It was seen to keep what fits neither digest. Only the length tells. */
  | 'none';

/** A part that a destination has acknowledged, as the completion of its upload names it. */
export interface AcknowledgedPart {
  readonly partNumber: number;
  readonly etag: string;
  /** What it was sent with, in base64. */
  readonly digest: { readonly algorithm: 'md5' | 'crc32'; readonly base64: string };
}

/** What a multipart upload was begun for: only for the very same it can be gone on with. */
export interface UploadPlan {
  readonly version: ObjectVersion;
  /** SHA-256, in hex, of the headers that belong to the object and went with its creation. */
  readonly headersSha256: string;
  /** Lengths of all its parts, in bytes. */
  readonly partLengths: readonly number[];
  readonly proof: PartProof;
}

/** A multipart upload that was begun at the destination, and is not known to be over. */
export interface JournalledUpload {
  /** The journal's own. */
  readonly number: number;
  readonly key: ObjectKey;
  /** When it was about to be created, in ms since the epoch, by this host's clock. */
  readonly intendedAt: number;
  /** Undefined when no answer to its creation is known: it may be there, or not. */
  readonly uploadId: string | undefined;
  /** Undefined until its first part is about to be sent. */
  readonly plan: UploadPlan | undefined;
  /** By number. */
  readonly parts: ReadonlyMap<number, AcknowledgedPart>;
  /**
   * `abandoned`: it is to be aborted. `completed`: it has become an object with this ETag; kept until its key is
   * recorded, so that what is there then is known for our own.
   */
  readonly state:
    | { readonly kind: 'open' }
    | { readonly kind: 'abandoned' }
    | { readonly kind: 'completed'; readonly etag: string };
  /** Begun by an earlier start of the run, and not gone on with in this one. */
  readonly isEarlier: boolean;
  /** The key has an outcome that is recorded: it needs no transfer any more. */
  readonly isRecorded: boolean;
}

/**
 * Where the transfer notes what it does with multipart uploads, so that the next start of the run finds what
 * this one may leave behind. Notes of one upload come in the order of these methods, and are kept in it.
 */
export interface UploadJournal {
  /** Uploads of this key that earlier starts have left, and that were not abandoned. */
  earlier(key: ObjectKey): Promise<readonly JournalledUpload[]>;
  /**
   * Before an upload is created. Resolves when a kill could not undo the note any more.
   *
   * @returns the upload's number here
   * @throws MigrateError when it cannot be noted: then nothing is to be created
   */
  intend(key: ObjectKey): Promise<number>;
  /** Before anything is sent to the upload. Resolves, and throws, as `intend`. */
  created(number: number, uploadId: string): Promise<void>;
  /**
   * Before the first part is sent. Resolves when a power loss could not undo the note any more.
   *
   * @throws MigrateError as `intend`
   */
  begin(number: number, plan: UploadPlan): Promise<void>;
  /** An earlier start's upload is gone on with. */
  resume(number: number): void;
  acknowledge(number: number, part: AcknowledgedPart): void;
  completed(number: number, etag: string): void;
  /** It is not to become an object, whatever happens: before it is aborted. */
  abandon(number: number): void;
  /** It is not at the destination any more, nor has it become an object. */
  over(number: number): void;
}

/** What became of one key that had to be transferred. */
export type Outcome =
  | {
      readonly kind: 'copied';
      readonly key: ObjectKey;
      /** Bytes of the object's content. */
      readonly bytes: number;
      /** The destination's ETag, without quotes. */
      readonly etag: string;
      /** How it is known that the bytes are the source's; with what is lost, see {@link withLosses}. */
      readonly detail: string;
    }
  | {
      /** `skipped-download`: not in the source (404). `skipped-upload`: the destination has the key (412). */
      readonly kind: 'skipped-download' | 'skipped-upload';
      readonly key: ObjectKey;
      /** The store's word for a missing object; see {@link ExistingDetail}. */
      readonly detail: string;
    }
  | { readonly kind: 'failed'; readonly key: ObjectKey; readonly failure: TransferFailure };

/**
 * What became of a range of the source list: every key K with `after` < K ≤ `last`.
 *
 * Pages chain: the `after` of one is the `last` of another. They are handed on in the order in which
 * they finish, so a page's place in the list is told by its range alone.
 */
export interface OutcomePage {
  readonly after: ObjectKey;
  readonly last: ObjectKey;
  readonly ignored: number;
  readonly exists: number;
  /** In key order; together with `ignored` and `exists` all keys of the range but those done by an earlier run. */
  readonly outcomes: readonly Outcome[];
}

/**
 * The run's live figures. Stages add to them as things happen; the report samples them.
 *
 * `objects = ignored + exists + skippedDownload + skippedUpload + failed + uploaded` holds when the
 * run ends.
 */
export interface Counters {
  /** Keys taken from the source list. */
  objects: number;
  ignored: number;
  exists: number;
  /** Transfers under way. */
  working: number;
  failed: number;
  skippedDownload: number;
  skippedUpload: number;
  /** Objects whose content has been read to its end. */
  downloaded: number;
  /** Content bytes read, also of objects that failed later. */
  downloadedBytes: number;
  uploaded: number;
  /** Content bytes the destination has acknowledged, parts of unfinished uploads included. */
  uploadedBytes: number;
  /** Keys an earlier run had handled; they count in none of the others. */
  done: number;
  /** Repeated attempts, of all exchanges. */
  retries: number;
  /** Bytes of the source's list files read, and of all of them. */
  listBytes: number;
  listBytesTotal: number;
}

export function newCounters(): Counters {
  return {
    objects: 0,
    ignored: 0,
    exists: 0,
    working: 0,
    failed: 0,
    skippedDownload: 0,
    skippedUpload: 0,
    downloaded: 0,
    downloadedBytes: 0,
    uploaded: 0,
    uploadedBytes: 0,
    done: 0,
    retries: 0,
    listBytes: 0,
    listBytesTotal: 0,
  };
}
