/**
 * Holds an object that was copied in parts against the source's, by what the destination tells of the parts
 * and of the whole.
 *
 * What can be told from the parts alone is told before they are made an object, so that a wrong one is
 * never seen at its key.
 */
import type { PartProof } from '../../domain.ts';
import type { CompletedUpload, ObjectHead, UploadedPart } from '../../s3/object-store.ts';
import type { CopyContext, CopyState } from '../copy-context.ts';
import { base64ToHex, compositeCrc32, multipartEtag } from '../digest.ts';
import { noProof, type Proof, tellsMd5s } from '../object-proof.ts';
import { wrongChecksum, wrongEtag, wrongPartEtags } from '../transfer-error.ts';
import type { SourceLayout } from './source-layout.ts';

/** An object whose parts are all at the destination. */
export interface CopiedParts {
  readonly object: ObjectHead;
  /** Undefined when no layout of the source's was asked for. */
  readonly layout: SourceLayout | undefined;
  readonly parts: readonly UploadedPart[];
  /** What the parts were sent with. */
  readonly proof: PartProof;
}

/**
 * Whether more than its length will prove the object, as far as that is known before anything is sent.
 *
 * @throws TransferError `no-proof`, where the operator demands one
 */
export function requireProofOfParts(layout: SourceLayout | undefined, context: CopyContext): void {
  if (!context.policy.requireProof) return;
  if (layout === undefined) throw noProof('its ETag is not of parts that can be kept');
  if (layout.kind === 'unknown') throw noProof(layout.why);
  if (tellsMd5s(context, 'multipartEtag')) return;
  throw noProof('the ETags that the destination gives to objects of parts are not made of MD5s');
}

/**
 * To be called before the parts are made an object.
 *
 * @throws TransferError `wrong-etag` when the source's parts would have made another ETag: once for each
 *   object, since other parts or other bytes may have been read, and again where the source's ETags are
 *   known to be made of MD5s; `no-proof` where the operator demands one
 */
export function checkParts(copied: CopiedParts, context: CopyContext, state: CopyState): void {
  const { object, layout, parts } = copied;
  const { learnt, policy } = context;
  const made = etagOf(parts);
  if (made === object.etag.toLowerCase()) return;
  const isHeldTo =
    made !== undefined &&
    layout?.kind === 'told' &&
    learnt.sourcePartEtags !== 'other' &&
    tellsMd5s(context, 'multipartEtag');
  if (isHeldTo) {
    const isFinal = state.triedAgain && learnt.sourcePartEtags === undefined;
    if (!isFinal) throw wrongPartEtags(made, object.etag);
    learnt.sourcePartEtags = 'other';
  }
  if (policy.requireProof) throw noProof('the parts make another ETag than the source has');
}

/**
 * @returns what proves that the object's bytes are the source's
 * @throws TransferError when the destination has acknowledged something else than was sent, or what it
 *   acknowledged is no proof and the operator demands one
 */
export function proofOfWhole(
  copied: CopiedParts,
  done: CompletedUpload,
  context: CopyContext,
): Proof {
  const { object, parts } = copied;
  const { learnt, policy } = context;
  const acknowledged = done.etag.toLowerCase();
  if (object.etagParts !== undefined && acknowledged === object.etag.toLowerCase()) {
    learnt.sourcePartEtags = 'md5';
    return 'etag-parts';
  }
  const made = etagOf(parts);
  const isMadeOfMd5s = policy.capabilities?.multipartEtag.kind === 'yes';
  if (isMadeOfMd5s && made !== undefined && made !== acknowledged) throw wrongEtag(done.etag, made);
  const ownProof = proofOfSending(copied, done, context);
  if (policy.requireProof) throw noProof(`the destination gives the ETag ${done.etag}`);
  return ownProof;
}

/** What the digests that were made on the way prove. */
function proofOfSending(
  { parts, proof }: CopiedParts,
  done: CompletedUpload,
  context: CopyContext,
): Proof {
  switch (proof) {
    case 'crc32': {
      const crc32 = compositeCrc32(parts.map(({ digest }) => digest.base64));
      // Without the number of parts it may be the CRC32 of the content.
      const comparable = done.crc32?.includes('-') === true;
      if (comparable && done.crc32 !== crc32) throw wrongChecksum(done.crc32, crc32);
      return 'crc32-parts';
    }
    case 'md5':
    case 'etag': {
      // A store whose parts' ETags are their MD5s makes the object's ETag of them, unless it was seen not to;
      // others' tell nothing.
      const md5s = parts.map(({ digest }) => base64ToHex(digest.base64));
      const areMd5s = parts.every(({ etag }, index) => etag.toLowerCase() === md5s[index]);
      const comparable = areMd5s && tellsMd5s(context, 'multipartEtag');
      const etag = multipartEtag(md5s);
      if (comparable && done.etag.toLowerCase() !== etag) throw wrongEtag(done.etag, etag);
      return areMd5s ? 'md5-parts' : 'length-only';
    }
    case 'none':
      return 'length-only';
  }
}

const MD5_HEX = /^[0-9a-f]{32}$/i;

/** @returns undefined where the ETags of the parts are no MD5s */
function etagOf(parts: readonly UploadedPart[]): string | undefined {
  const etags = parts.map(({ etag }) => etag);
  return etags.every((etag) => MD5_HEX.test(etag)) ? multipartEtag(etags) : undefined;
}
