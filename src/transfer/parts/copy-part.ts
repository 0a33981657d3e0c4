/**
 * Copies one part of a large object: a ranged GET pinned to one version of it, and an UploadPart with a
 * digest.
 *
 * A part is collected in memory, hashed and sent. One that would take too much of it is read twice
 * instead: once to hash it, once to pass it on. So no object and no part is too large for any memory.
 */
import type { PartProof } from '../../domain.ts';
import type { PartDigest, PartResult, UploadedPart } from '../../s3/object-store.ts';
import { PASSAGE_BUFFER_BYTES, Passage } from '../../wire/passage.ts';
import type { CopyContext } from '../copy-context.ts';
import { base64ToHex, RunningDigest } from '../digest.ts';
import { insist } from '../insist.ts';
import { digestRange, readRange } from '../source-range.ts';
import { at, wrongChecksum, wrongEtag } from '../transfer-error.ts';
import type { PartJob } from './part-job.ts';
import { algorithmOf } from './part-proof.ts';

/** What copying a part needs of all that copies share. */
export type PartContext = Pick<
  CopyContext,
  'source' | 'destination' | 'budget' | 'partBuffers' | 'counters' | 'retry' | 'outlast'
>;

/**
 * One part, tried again by itself: what the others have done is not lost to a passing fault.
 *
 * @throws TransferError, also when the destination says that it has got something else
 */
export function copyPart(job: PartJob, context: PartContext): Promise<UploadedPart> {
  return insist(
    job.key,
    async () => {
      const { crc32, ...part } = await attemptPart(job, context);
      checkPart(part, crc32, job.proof);
      return part;
    },
    context,
  );
}

/** Holds what the destination says about the part against what was sent. */
function checkPart(
  { etag, digest }: UploadedPart,
  crc32: string | undefined,
  proof: PartProof,
): void {
  if (digest.algorithm === 'crc32') {
    if (crc32 !== undefined && crc32 !== digest.base64) throw wrongChecksum(crc32, digest.base64);
    return;
  }
  const md5 = base64ToHex(digest.base64);
  if (proof === 'etag' && etag.toLowerCase() !== md5) throw wrongEtag(etag, md5);
}

async function attemptPart(job: PartJob, context: PartContext): Promise<PartResult> {
  const { budget } = context;
  const bytes = lengthOf(job);
  const isCollected = bytes <= budget.totalBytes;
  const held = isCollected ? bytes : PASSAGE_BUFFER_BYTES;
  await budget.take(held);
  try {
    return await (isCollected ? collectPart(job, context) : passPart(job, context));
  } finally {
    budget.release(held);
  }
}

async function collectPart(
  job: PartJob,
  { source, destination, partBuffers, counters }: PartContext,
): Promise<PartResult> {
  const bytes = lengthOf(job);
  const body = partBuffers.take(bytes);
  try {
    const running = new RunningDigest(algorithmOf(job.proof));
    // Memory is slower than CRC32: to hash it all at the end would cost twice as much.
    await readRange(job, source, () => ({
      bytes: body,
      onPiece: (piece) => running.update(piece),
    }));
    counters.downloadedBytes += bytes;
    const digest = running.take();
    const uploaded = await upload(job, { body, digest }, destination);
    counters.uploadedBytes += bytes;
    return uploaded;
  } finally {
    partBuffers.giveBack(body);
  }
}

async function passPart(
  job: PartJob,
  { source, destination, counters }: PartContext,
): Promise<PartResult> {
  const bytes = lengthOf(job);
  const digest = await digestOfRange(job, source);
  let uploading: Promise<PartResult> | undefined;
  await readRange(job, source, () => {
    const body = new Passage(bytes, (moved) => {
      counters.downloadedBytes += moved;
    });
    uploading = upload(job, { body, digest }, destination);
    // Awaited only after the GET, which may take long.
    uploading.catch(() => {});
    return body;
  }).catch(async (error: unknown) => {
    // The reset of the upload must be out before the part is tried again.
    await uploading?.catch(() => {});
    throw error;
  });
  const uploaded = await (uploading as Promise<PartResult>);
  counters.uploadedBytes += bytes;
  return uploaded;
}

/** Reads the part only to hash it. */
async function digestOfRange(job: PartJob, source: PartContext['source']): Promise<PartDigest> {
  const running = new RunningDigest(algorithmOf(job.proof));
  await digestRange(job, source, running);
  return running.take();
}

function upload(
  { key, uploadId, range: { partNumber } }: PartJob,
  content: { readonly body: Buffer | Passage; readonly digest: PartDigest },
  destination: PartContext['destination'],
): Promise<PartResult> {
  return at('destination', destination.uploadPart(key, { uploadId, partNumber, ...content }));
}

function lengthOf({ range: { first, last } }: PartJob): number {
  return last - first + 1;
}
