/**
 * What proves that the destination has the source's bytes: the strongest that can be had without reading
 * them twice. docs/formats.md says what each word of it means.
 *
 * A digest that is only made of what was read proves the way from here to the destination, not that what was
 * read is what the source has: `--require-proof` does not take it.
 */
import { type ContentDigest, type ObjectHead, StoreError } from '../s3/object-store.ts';
import type { CopyContext, CopyState } from './copy-context.ts';
import { hexToBase64, md5Base64 } from './digest.ts';
import { MAX_PART_BYTES } from './parts/part-plan.ts';
import { TransferError } from './transfer-error.ts';

/** A word for `detail` in migrate.log. */
export type Proof =
  /** The destination verified a digest of the whole content that the source told. */
  | ContentDigest['algorithm']
  /** Both ETags are made of the MD5s of the same parts. */
  | 'etag-parts'
  | 'crc32-parts'
  | 'md5-parts'
  | 'length-only';

const NOTHING = Buffer.alloc(0);

/**
 * A digest that the source tells of its content, for the destination to verify.
 *
 * @returns undefined where it tells none that the destination is known to verify
 */
export function toldDigest(
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): ContentDigest | undefined {
  // First, also where there seems to be no content: an ETag of other content tells that it was cut off.
  const told = digestOfContent(object, context, state);
  if (told !== undefined || object.bytes > 0) return told;
  return { algorithm: 'md5', base64: md5Base64(NOTHING) };
}

/** Of an object without content that was uploaded in one part. */
const ETAG_OF_NO_CONTENT = '59adb24ef3cdbe0297f05b395827453f-1';

/** Whether nothing but the source's own GET tells how long the object is, so that no digest fails when that is wrong. */
export function tellsOnlyLength(
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): boolean {
  const isEmpty = object.bytes === 0 && object.etag === ETAG_OF_NO_CONTENT;
  return !isEmpty && digestOfContent(object, context, state) === undefined;
}

function digestOfContent(
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): ContentDigest | undefined {
  if (etagIsDigest(object, context, state)) {
    return { algorithm: 'md5', base64: hexToBase64(object.etag) };
  }
  const verified = context.policy.capabilities?.putDigests;
  return object.checksums?.find(({ algorithm }) => verified?.[algorithm].kind === 'verified');
}

function etagIsDigest(object: ObjectHead, { learnt }: CopyContext, state: CopyState): boolean {
  return object.etagMayBeMd5 && !state.etagIsNoMd5 && learnt.sourceEtags !== 'other';
}

/** Whether one PUT proves what no parts could: of parts, no digest of the whole is verified. */
export function isBetterWhole(object: ObjectHead, context: CopyContext, state: CopyState): boolean {
  return (
    context.policy.requireProof &&
    object.bytes <= MAX_PART_BYTES &&
    toldDigest(object, context, state) !== undefined
  );
}

/** Whether what this destination tells of an object's ETag can be held against an MD5. */
export function tellsMd5s({ policy }: CopyContext, of: 'etagIsMd5' | 'multipartEtag'): boolean {
  return policy.capabilities?.[of].kind !== 'no';
}

/** For objects that fail because of `--require-proof`. */
export function noProof(why: string): TransferError {
  const message = `nothing but its length could be compared: ${why}`;
  const options = { kind: 'refused', code: 'no-proof', status: 0, mayHaveLanded: false } as const;
  return new TransferError('source', new StoreError(message, options));
}
