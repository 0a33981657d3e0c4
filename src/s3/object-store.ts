/**
 * One bucket of one S3 store, as the transfers see it: the contract every implementation keeps.
 *
 * - Keys are byte strings and reach the store byte for byte.
 * - Bodies are whole buffers, or a {@link Passage} that ties a GET of one store to a PUT of another: there is
 *   no stream to be left hanging, and a copy that breaks off begins again with a new GET.
 * - Nothing is retried here, but what was refused for credentials that have been renewed since. A failure is a {@link StoreError} that says what may be done about it,
 *   and whether the request may have been carried out all the same.
 * - Every write carries a digest which the store checks before it keeps anything; a write that is cut in
 *   the middle ends with a connection reset.
 * - No call waits without an end.
 * - ETags come and go without their quotes.
 */
import type { ObjectKey } from '../object-key.ts';
import type { RequestBody } from '../wire/connection.ts';
import type { Passage } from '../wire/passage.ts';
import type { ResponseHeaders } from '../wire/response-head.ts';
import type { Header } from '../wire/signature.ts';
import type { ObjectProperties } from './metadata.ts';
import type { Tags } from './tagging.ts';

export type StoreErrorKind =
  /** 404 for an object. */
  | 'not-found'
  /** 404 for the bucket itself. */
  | 'no-such-bucket'
  /** 404 for an upload: it was completed or aborted. */
  | 'no-such-upload'
  /** 412: the condition sent along does not hold. */
  | 'precondition-failed'
  /** 409: another operation on the key is under way, or has just been. */
  | 'conflict'
  /** The store found other bytes than the digest sent along tells of. Nothing was kept. */
  | 'bad-digest'
  /** 503, 429 and the like: come back later. */
  | 'throttled'
  /** Another 5xx. */
  | 'unavailable'
  /** 507 and the like: there is no room for what was sent. */
  | 'full'
  /** 401, 403, and credentials that have expired. */
  | 'denied'
  /** 501, or 304 to a write: the store does not know this operation or header. */
  | 'not-implemented'
  /** 3xx: the bucket is elsewhere. Never followed. */
  | 'redirected'
  /** Another refusal of this very request; the same again would be refused again. */
  | 'refused'
  /** No connection to the store. Nothing was sent. */
  | 'unreachable'
  /** The connection broke or timed out before the answer was whole. */
  | 'network'
  /** The answer is not S3's: no length, no ETag, an HTML page, a success cut short. */
  | 'not-s3';

export interface StoreErrorOptions {
  readonly kind: StoreErrorKind;
  /** The store's own word where it gave one, else one of this tool. */
  readonly code: string;
  /** 0 when there was no answer. */
  readonly status: number;
  /** Whether the request may have been carried out although it failed. */
  readonly mayHaveLanded: boolean;
  /**
   * Whether it says nothing about the request, which is to be repeated at once: a kept connection had been
   * closed by its peer, or the credentials have been renewed since.
   */
  readonly stale?: boolean;
  /** From Retry-After, in ms, not capped. */
  readonly retryAfterMs?: number | undefined;
  /** The region the store named, when it told that the bucket is elsewhere. */
  readonly region?: string | undefined;
  /** Where a redirect points to. */
  readonly location?: string | undefined;
  /** The header or argument that the store named as the reason. */
  readonly about?: string | undefined;
  readonly cause?: unknown;
}

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;
  readonly code: string;
  readonly status: number;
  readonly mayHaveLanded: boolean;
  readonly stale: boolean;
  readonly retryAfterMs: number | undefined;
  readonly region: string | undefined;
  readonly location: string | undefined;
  readonly about: string | undefined;

  constructor(message: string, options: StoreErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind;
    this.code = options.code;
    this.status = options.status;
    this.mayHaveLanded = options.mayHaveLanded;
    this.stale = options.stale ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.region = options.region;
    this.location = options.location;
    this.about = options.about;
  }
}

/** What a GET or HEAD tells of an object. */
export interface ObjectHead {
  /** Length of the whole object, also when a range of it was asked for. */
  readonly bytes: number;
  /** Empty where the store has none. */
  readonly etag: string;
  /** As the store tells it, whole seconds at best; for comparing two answers. */
  readonly lastModified: string;
  /** Whether the ETag may be the MD5 of the content: 32 hex digits and no encryption that changes it. */
  readonly etagMayBeMd5: boolean;
  /** Number of parts whose MD5s the ETag may be made of; absent where it has none, or encryption changes it. */
  readonly etagParts?: number;
  /** Checksums of the whole content, the strongest first; absent where the store tells none. */
  readonly checksums?: readonly Checksum[];
  /** What is copied with the object, as the headers to send when it is written. */
  readonly metadata: readonly Header[];
  /** Absent where the store tells of none. */
  readonly properties?: ObjectProperties;
}

/** One of S3's checksums of a content; in base64. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'crc64nvme' | 'sha1' | 'crc32c' | 'crc32';
  readonly base64: string;
}

/** What HEAD with a part's number tells. */
export interface PartHead {
  /** Length of the part. */
  readonly bytes: number;
  /** Of the object; undefined where the store does not tell. */
  readonly parts: number | undefined;
}

export interface ByteRange {
  readonly first: number;
  /** Inclusive, as in HTTP. */
  readonly last: number;
}

export interface GetOptions {
  readonly range?: ByteRange;
  /** Only if the object still has this ETag; else `precondition-failed`. */
  readonly ifMatch?: string;
  /**
   * Called with the head before any content is read; gives the buffer or the passage for the content,
   * exactly as long as the range or the object, or undefined to leave the content unread. May make the
   * content wait, for a place in memory.
   */
  readonly receive: (object: ObjectHead) => Receiving | Promise<Receiving>;
}

export type Receiving = Buffer | WatchedBuffer | Passage | undefined;

/** A buffer with someone who looks at each piece of the content while it is still in the processor's cache. */
interface WatchedBuffer {
  readonly bytes: Buffer;
  /** The pieces come in order, each byte once; must not throw. */
  readonly onPiece: (piece: Buffer) => void;
}

export interface GetResult {
  readonly object: ObjectHead;
  /**
   * The buffer that `receive` gave, filled; undefined when it gave none. A passage has all of the content
   * by then, unless its writer has broken it off.
   */
  readonly body: Buffer | undefined;
}

export interface PutOptions {
  readonly body: RequestBody;
  readonly metadata: readonly Header[];
  /** Of the body. */
  readonly digest: ContentDigest;
}

/** What the store holds a content against. MD5 goes along as Content-MD5, others as S3's checksum headers. */
export type ContentDigest = Checksum | { readonly algorithm: 'md5'; readonly base64: string };

export interface PutResult {
  readonly etag: string;
  /** Whether the ETag may be compared with an MD5; see {@link ObjectHead.etagMayBeMd5}. */
  readonly etagMayBeMd5: boolean;
}

/** A {@link ContentDigest} of a part. */
export interface PartDigest {
  readonly algorithm: 'md5' | 'crc32';
  readonly base64: string;
}

export interface PartUpload {
  readonly uploadId: string;
  /** From 1 to 10,000. */
  readonly partNumber: number;
  readonly body: Buffer | Passage;
  /** Of the algorithm that the upload was created for. */
  readonly digest: PartDigest;
}

/** A part as the completion of its upload names it. */
export interface UploadedPart {
  readonly partNumber: number;
  readonly etag: string;
  /** What it was sent with. */
  readonly digest: PartDigest;
}

export interface PartResult extends UploadedPart {
  /** In base64, as far as the store tells what it has calculated. */
  readonly crc32: string | undefined;
}

export interface CompletedUpload extends PutResult {
  /**
   * As far as the store tells it: in base64 the CRC32 of the parts' CRC32s, with `-` and their number; some
   * stores leave the number out, or give that of the whole content.
   */
  readonly crc32: string | undefined;
}

/** A part of an upload under way, as the store shows it. */
export interface ListedPart {
  readonly partNumber: number;
  readonly bytes: number;
  readonly etag: string;
}

/** An upload under way, as the store shows it. */
export interface ListedUpload {
  readonly uploadId: string;
  /** By the store's clock, ms since the epoch. */
  readonly initiatedAt: number;
}

export interface UploadListing {
  readonly uploads: readonly ListedUpload[];
  /** The store's clock when it answered, ms since the epoch, in whole seconds; undefined when it did not tell. */
  readonly answeredAt: number | undefined;
}

/** A request as the caller words it: see {@link ObjectStore.send}. */
export interface StoreRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Empty for the bucket itself. */
  readonly key: ObjectKey;
  /** Names and values as byte strings, not encoded. */
  readonly query?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly headers?: readonly Header[] | undefined;
  readonly body?: Buffer | undefined;
}

export interface StoreAnswer {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** The body as UTF-8 text, at most its first 64 KiB. */
  readonly text: string;
  /** Whether `text` is all of the body. */
  readonly whole: boolean;
}

export interface ObjectStore {
  /** For messages: `http://host:9000/bucket`. */
  readonly name: string;

  /** Asks for the bucket with the real keys. */
  headBucket(): Promise<void>;
  head(key: ObjectKey): Promise<ObjectHead>;
  /**
   * Asks for one part of an object that has parts.
   *
   * @param part - its number, from 1, and the ETag that the object must still have
   * @returns undefined when the store answers with the whole object, or does not know such a request
   */
  headPart(
    key: ObjectKey,
    part: { partNumber: number; ifMatch: string },
  ): Promise<PartHead | undefined>;
  get(key: ObjectKey, options: GetOptions): Promise<GetResult>;
  /** The object's tags; none where it has none. */
  getTagging(key: ObjectKey): Promise<Tags>;

  /** Creates the object; `precondition-failed` when the key is there already, which is then left as it is. */
  putNew(key: ObjectKey, options: PutOptions): Promise<PutResult>;

  /**
   * @param algorithm - of the digests that the parts will carry; MD5 unless given
   * @returns the upload's id, an opaque string
   */
  createMultipartUpload(
    key: ObjectKey,
    metadata: readonly Header[],
    algorithm?: PartDigest['algorithm'],
  ): Promise<string>;
  /** Takes the place of an earlier part of the same number. */
  uploadPart(key: ObjectKey, part: PartUpload): Promise<PartResult>;
  /** Creates the object from its parts; the condition is {@link putNew}'s. The upload stays when it does not hold. */
  completeNew(
    key: ObjectKey,
    upload: { uploadId: string; parts: readonly UploadedPart[] },
  ): Promise<CompletedUpload>;
  /**
   * All parts of an upload under way, in any number of exchanges; by number. A part that is only half there may be
   * among them.
   *
   * @throws StoreError `no-such-upload` when it was completed or aborted
   */
  listParts(key: ObjectKey, uploadId: string): Promise<readonly ListedPart[]>;
  /** All uploads under way for this very key, whoever began them, in any number of exchanges. */
  listUploads(key: ObjectKey): Promise<UploadListing>;
  /** Also fulfilled when the upload is gone already. */
  abortMultipartUpload(key: ObjectKey, uploadId: string): Promise<void>;

  /**
   * Deletes an object; also fulfilled when there is none.
   *
   * @param options - `ifMatch`: only if it still has this ETag, else `precondition-failed`. Not every store
   *   keeps to that.
   */
  deleteObject(key: ObjectKey, options?: { ifMatch?: string }): Promise<void>;

  /**
   * Sends a request as it is and gives the answer as it came, whatever its status: for the probe, which
   * looks at what a store does with what no transfer sends. No digest is added.
   *
   * @throws StoreError when there is no whole answer
   */
  send(request: StoreRequest): Promise<StoreAnswer>;

  /** Ends all connections. */
  close(): void;
}
