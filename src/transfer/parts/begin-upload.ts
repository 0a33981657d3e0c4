/**
 * Begins a multipart upload with the cheapest digest that its destination was seen to verify.
 *
 * What a destination verifies is found out by the first upload of a run, for all that come after it: a
 * few bytes are sent as a part with a digest that is wrong. Who refuses them verifies. Nothing of this is
 * ever at a listed key, because an upload that has kept such a part is aborted, and one that has refused
 * it gets the object's own part under the same number.
 */
import type { PartProof } from '../../domain.ts';
import type { ObjectKey } from '../../object-key.ts';
import type { PartDigest, PartResult } from '../../s3/object-store.ts';
import type { Header } from '../../wire/signature.ts';
import type { CopyContext } from '../copy-context.ts';
import { base64ToHex, digestOf } from '../digest.ts';
import { insist } from '../insist.ts';
import { at, TransferError } from '../transfer-error.ts';
import { abortUpload, type OwnUpload } from './abort-upload.ts';
import { algorithmOf } from './part-proof.ts';

/** The object that an upload is to become. */
export interface NewObject {
  readonly key: ObjectKey;
  readonly metadata: readonly Header[];
}

const NOTHING_VERIFIED =
  'the destination verifies neither the CRC32 nor the MD5 of a part: where ETags do not tell that large objects have arrived whole, it is known by their length alone (length-only in migrate.log)';

export interface BegunUpload extends OwnUpload {
  readonly proof: PartProof;
}

/** Of a destination where only the length tells that the parts have arrived. */
export function warnOfNoProof(proof: PartProof, { warn }: Pick<CopyContext, 'warn'>): void {
  if (proof === 'none') warn(NOTHING_VERIFIED);
}

/**
 * Whoever gets the upload completes or aborts it.
 *
 * @throws TransferError; what was to be found out is then left to the next upload
 */
export async function beginUpload(object: NewObject, context: CopyContext): Promise<BegunUpload> {
  const { learnt } = context;
  if (learnt.partProof === undefined) return beginFirst(object, context);
  // Where another upload's attempt to find out has failed, this one takes what every S3 store verifies.
  const proof = await Promise.resolve(learnt.partProof).catch(() => 'md5' as const);
  return beginFor(proof, object, context);
}

async function beginFirst(object: NewObject, context: CopyContext): Promise<BegunUpload> {
  const { learnt } = context;
  const beginning = findProof(object, context);
  learnt.partProof = beginning.then(({ proof }) => proof);
  // Those who wait for it hear of a failure as well; there may be none.
  learnt.partProof.catch(() => {});
  try {
    const begun = await beginning;
    learnt.partProof = begun.proof;
    warnOfNoProof(begun.proof, context);
    return begun;
  } catch (error) {
    learnt.partProof = undefined;
    throw error;
  }
}

async function beginFor(
  proof: PartProof,
  object: NewObject,
  context: CopyContext,
): Promise<BegunUpload> {
  return { ...(await create(algorithmOf(proof), object, context)), proof };
}

async function findProof(object: NewObject, context: CopyContext): Promise<BegunUpload> {
  const forCrc32 = await createForCrc32(object, context);
  if (forCrc32 === undefined) return beginFor('md5', object, context);
  const crc32 = await offerWrongPart('crc32', forCrc32, object, context);
  switch (crc32) {
    case 'verified':
      return { ...forCrc32, proof: 'crc32' };
    case 'not-supported':
      return beginFor('md5', object, context);
    case 'kept-and-told':
      return beginFor('etag', object, context);
    case 'kept': {
      const forMd5 = await create('md5', object, context);
      const md5 = await offerWrongPart('md5', forMd5, object, context);
      if (md5 === 'verified') return { ...forMd5, proof: 'md5' };
      return beginFor('none', object, context);
    }
  }
}

async function create(
  algorithm: PartDigest['algorithm'],
  { key, metadata }: NewObject,
  context: CopyContext,
): Promise<OwnUpload> {
  const { destination, uploads } = context;
  const number = await uploads.intend(key);
  const creating = destination.createMultipartUpload(key, metadata, algorithm);
  const uploadId = await at('destination', creating).catch((error: unknown) => {
    if (error instanceof TransferError && isRefusal(error)) uploads.over(number);
    throw error;
  });
  try {
    await uploads.created(number, uploadId);
    return { number, uploadId };
  } catch (error) {
    await abortUpload(key, { number, uploadId }, context);
    throw error;
  }
}

/** Whether it is certain that nothing was created; else that is found out when the run ends. */
function isRefusal({ kind, cause: { mayHaveLanded } }: TransferError): boolean {
  return kind === 'throttled' || !mayHaveLanded;
}

/**
 * @returns undefined when the destination may have refused it because of the checksum: a refusal for
 *   another reason meets the upload without one as well
 */
async function createForCrc32(
  object: NewObject,
  context: CopyContext,
): Promise<OwnUpload | undefined> {
  try {
    return await create('crc32', object, context);
  } catch (error) {
    if (error instanceof TransferError && isBadRequest(error)) return undefined;
    throw error;
  }
}

function isBadRequest({ kind, cause: { status } }: TransferError): boolean {
  return kind === 'not-implemented' || (kind === 'refused' && status === 400);
}

/** What a destination did with a part whose digest was wrong. */
type Answer =
  | 'verified'
  /** It refused the request for another reason than that the bytes were others. */
  | 'not-supported'
  /** Its ETag was the MD5, so the sender can tell. */
  | 'kept-and-told'
  | 'kept';

const OFFERED = Buffer.from('s3migrate asks whether a digest is verified');

/** The upload is aborted unless the answer is `verified`. */
async function offerWrongPart(
  algorithm: PartDigest['algorithm'],
  upload: OwnUpload,
  { key }: NewObject,
  context: CopyContext,
): Promise<Answer> {
  let answer: Answer | undefined;
  try {
    answer = await answerToWrongPart(algorithm, upload.uploadId, key, context);
    return answer;
  } finally {
    if (answer !== 'verified') await abortUpload(key, upload, context);
  }
}

function answerToWrongPart(
  algorithm: PartDigest['algorithm'],
  uploadId: string,
  key: ObjectKey,
  context: CopyContext,
): Promise<Answer> {
  const { destination } = context;
  const digest = digestOf(algorithm, Buffer.from('other bytes'));
  const part = { uploadId, partNumber: 1, body: OFFERED, digest };
  return insist(
    key,
    async () => {
      try {
        return answerOf(await at('destination', destination.uploadPart(key, part)));
      } catch (error) {
        if (!(error instanceof TransferError)) throw error;
        if (error.kind === 'bad-digest') return 'verified';
        if (isBadRequest(error)) return 'not-supported';
        throw error;
      }
    },
    context,
  );
}

function answerOf({ etag }: PartResult): Answer {
  const md5 = base64ToHex(digestOf('md5', OFFERED).base64);
  return etag.toLowerCase() === md5 ? 'kept-and-told' : 'kept';
}
