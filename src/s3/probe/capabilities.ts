/**
 * What a probe has found out about a store, as plain data: it goes into migrate.run.json, to worker
 * threads and to `--json` as it is.
 *
 * A finding is a union, never a boolean: what could not be found out is `unknown`, with the reason, and
 * is not taken for a no. Answers are quoted as `400 BadDigest`, in the store's own words, not escaped.
 */
import type { ObjectKey } from '../../object-key.ts';

export interface Unknown {
  readonly kind: 'unknown';
  readonly reason: string;
}

/** What became of a request whose condition does not hold. */
export type ConditionFinding =
  /** Refused with 412 or 409, and the object is as it was. */
  | { readonly kind: 'honoured'; readonly status: number }
  /** Carried out all the same. */
  | { readonly kind: 'ignored' }
  /** 304 to a write. */
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'not-implemented' }
  /** Refused otherwise, or refused although the condition holds. */
  | { readonly kind: 'refused'; readonly answer: string }
  | Unknown;

/** Of several conditional writes of one fresh key at once. */
export type RaceFinding =
  | { readonly kind: 'one-wins' }
  | { readonly kind: 'several-win'; readonly winners: number }
  | Unknown;

export type YesOrNo =
  | { readonly kind: 'yes' }
  /** @see answer what was seen instead */
  | { readonly kind: 'no'; readonly answer: string }
  | Unknown;

export type DigestName = 'content-md5' | 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256';

export type DigestFinding =
  /** A right one is taken, a wrong one refused. */
  | { readonly kind: 'verified' }
  /** A wrong one is taken too. */
  | { readonly kind: 'ignored' }
  /** A right one is refused. */
  | { readonly kind: 'refused'; readonly answer: string }
  | Unknown;

/** What is sent with an object; each was probed with an object of its own. */
export type MetadataName =
  /** Content-Type, Cache-Control, Content-Disposition, Content-Language, Expires, and user metadata in ASCII. */
  | 'ordinary-headers'
  | 'content-encoding'
  /** Two codings in one header. */
  | 'content-encodings'
  /** An Expires that is no date: `0`. */
  | 'expires-not-a-date'
  | 'metadata-utf8'
  | 'metadata-latin1'
  | 'metadata-rfc2047'
  | 'website-redirect'
  | 'tags';

export type MetadataFinding =
  | { readonly kind: 'kept' }
  /** @see to byte string */
  | { readonly kind: 'changed'; readonly header: string; readonly to: string }
  | { readonly kind: 'dropped'; readonly header: string }
  /** The object was refused because of it. */
  | { readonly kind: 'refused'; readonly answer: string }
  | Unknown;

export type KeyRuleName =
  | 'leading-slash'
  | 'double-slash'
  | 'dot-segment'
  | 'dot-dot-segment'
  /** An empty object whose key ends with a slash, as clients make them for folders. */
  | 'trailing-slash'
  | 'trailing-slash-with-content'
  /** `folder` when there is `folder/`. */
  | 'beside-folder'
  /** `a` when there is `a/b`. */
  | 'above-key'
  | 'decomposed'
  | 'upper-case'
  | 'plus'
  | 'percent-escape'
  | 'control-characters'
  | 'not-utf8'
  | 'long-key'
  | 'long-part';

export type KeyHandling =
  | { readonly kind: 'kept' }
  | { readonly kind: 'refused'; readonly answer: string }
  /** `sent` and `of`, both without the probe's prefix, are one object there. */
  | { readonly kind: 'alias'; readonly sent: ObjectKey; readonly of: ObjectKey }
  /** Acknowledged, and then not found under its name, or with other content. */
  | { readonly kind: 'lost'; readonly answer: string }
  | Unknown;

export interface KeyRule {
  readonly rule: KeyRuleName;
  readonly handling: KeyHandling;
}

export type ClockFinding =
  /** What the store's clock is ahead of this host's; exact to about a second. */
  { readonly kind: 'measured'; readonly aheadMs: number } | Unknown;

/** What a destination does with what a migration sends. */
export interface Capabilities {
  /** Ms since the epoch. */
  readonly probedAt: number;
  readonly putCondition: ConditionFinding;
  readonly completeCondition: ConditionFinding;
  readonly race: RaceFinding;
  /** DELETE with an `If-Match` that does not hold. */
  readonly deleteCondition: ConditionFinding;
  readonly etagIsMd5: YesOrNo;
  /** Whether the ETag of an object of parts is the MD5 of the parts' MD5s, and their number. */
  readonly multipartEtag: YesOrNo;
  readonly putDigests: Readonly<Record<DigestName, DigestFinding>>;
  /** Of UploadPart, in uploads that were created for the algorithm (`x-amz-checksum-algorithm`). */
  readonly partDigests: Readonly<Record<DigestName, DigestFinding>>;
  /** Whether HEAD with `partNumber` tells a part's size. */
  readonly partNumberHead: YesOrNo;
  readonly metadata: Readonly<Record<MetadataName, MetadataFinding>>;
  readonly keys: readonly KeyRule[];
  readonly clock: ClockFinding;
  /** Keys that the probe has written and could not remove. */
  readonly leftovers: readonly ObjectKey[];
}

/** What can be found out about a source without a write. */
export interface SourceFindings {
  readonly probedAt: number;
  /** Whether a key that is not there is answered 404; where it is 403, deleted objects count as failed. */
  readonly tellsMissing: YesOrNo;
  readonly listing: YesOrNo;
  readonly clock: ClockFinding;
}
