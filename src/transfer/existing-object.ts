/**
 * Whose object it is that is at a key of the destination: one of ours whose answer was lost, or someone
 * else's.
 */
import type { ExistingDetail, Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import type { CopyContext, CopyState } from './copy-context.ts';
import { tellsMd5s } from './object-proof.ts';
import { at, TransferError } from './transfer-error.ts';

/**
 * A conditional write has found the key taken. A HEAD tells whose object is there, and whether there is
 * one: versitygw 1.8 answers 412 for `folder` because of `folder/`, and to skip that would lose an object.
 */
export async function resolveExisting(
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  if (isLeftAlone(context, state)) return { kind: 'skipped-upload', key, detail: 'exists' };
  try {
    return outcomeOfExisting(
      key,
      await at('destination', context.destination.head(key)),
      context,
      state,
    );
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'not-found') throw notShown();
    // The refusal stands, with or without a look at what it is about.
    if (state.mayHaveLanded === undefined) return { kind: 'skipped-upload', key, detail: 'exists' };
    throw error;
  }
}

/** Where nothing is to be told of what is there, and nothing can be lost by not looking. */
function isLeftAlone({ policy }: CopyContext, { mayHaveLanded }: CopyState): boolean {
  if (policy.skipDetail || mayHaveLanded !== undefined) return false;
  const rules = policy.capabilities?.keys.filter(
    ({ rule }) => rule === 'beside-folder' || rule === 'above-key',
  );
  return rules?.every(({ handling }) => handling.kind === 'kept') === true;
}

/**
 * What the destination has at this key, for whoever asks before anything is read.
 *
 * @returns undefined when there is nothing, or this user may not know
 */
export async function headIfThere(
  key: ObjectKey,
  { destination }: CopyContext,
): Promise<ObjectHead | undefined> {
  try {
    return await at('destination', destination.head(key));
  } catch (error) {
    // Without the permission to list, AWS answers 403 for a missing key: the condition decides later.
    if (error instanceof TransferError && (error.kind === 'not-found' || error.kind === 'denied')) {
      return undefined;
    }
    throw error;
  }
}

/**
 * The last look before a write is given up that may have landed, or that another one kept in conflict.
 *
 * @returns undefined when there is nothing, or it cannot be told
 */
export async function lookOnceMore(
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome | undefined> {
  try {
    const there = await context.destination.head(key);
    // What is to be overwritten does not keep ours away: it is there because ours is not.
    const isInTheWay =
      context.policy.ifExists !== 'overwrite' || isOurs(there, state.mayHaveLanded);
    return isInTheWay ? outcomeOfExisting(key, there, context, state) : undefined;
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

/** As {@link outcomeOfExisting}, of what is there before anything was read: one HEAD tells what to compare it with. */
export async function outcomeOfFound(
  key: ObjectKey,
  there: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  if (context.policy.skipDetail) state.object ??= await sourceIfTold(key, context);
  return outcomeOfExisting(key, there, context, state);
}

/** What keeps the source from telling is not a failure: nothing is to be copied. */
async function sourceIfTold(
  key: ObjectKey,
  { source }: CopyContext,
): Promise<ObjectHead | undefined> {
  try {
    return await source.head(key);
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

/** What it means that this object is there. */
export function outcomeOfExisting(
  key: ObjectKey,
  there: ObjectHead,
  context: CopyContext,
  { mayHaveLanded: ours, object }: CopyState,
): Outcome {
  const { counters } = context;
  if (!isOurs(there, ours)) {
    return { kind: 'skipped-upload', key, detail: existing(there, object, context) };
  }
  counters.uploadedBytes += ours.uncountedBytes;
  return {
    kind: 'copied',
    key,
    bytes: there.bytes,
    etag: there.etag,
    detail: 'found after a lost answer',
  };
}

function isOurs(
  there: ObjectHead,
  ours: CopyState['mayHaveLanded'],
): ours is NonNullable<CopyState['mayHaveLanded']> {
  if (ours === undefined) return false;
  const { bytes, etag, checksum } = ours;
  if (there.bytes !== bytes) return false;
  if (etag !== undefined) return there.etag.toLowerCase() === etag;
  const told = there.checksums?.find(({ algorithm }) => algorithm === checksum?.algorithm);
  return told !== undefined && told.base64 === checksum?.base64;
}

/** In words for the log, whether what is there is what the source has. */
function existing(
  there: ObjectHead,
  object: ObjectHead | undefined,
  context: CopyContext,
): ExistingDetail {
  if (object === undefined) return 'exists';
  if (there.bytes !== object.bytes) return 'exists-differs';
  if (!isComparable(there, object, context)) return 'exists-same-length';
  return there.etag.toLowerCase() === object.etag.toLowerCase() ? 'exists-same' : 'exists-differs';
}

/** Two MD5s, or two of as many parts: where the parts were of other lengths, such ETags differ as well. */
function isComparable(there: ObjectHead, object: ObjectHead, context: CopyContext): boolean {
  if (there.etagMayBeMd5 && object.etagMayBeMd5) return tellsMd5s(context, 'etagIsMd5');
  if (there.etagParts === undefined || there.etagParts !== object.etagParts) return false;
  return tellsMd5s(context, 'multipartEtag');
}

/** Deleted between the write that found it and the HEAD, so that the key is free again; or never there. */
function notShown(): TransferError {
  return new TransferError(
    'destination',
    new StoreError('the destination says that the key exists (412), and that it does not (404)', {
      kind: 'conflict',
      code: 'exists-but-not-shown',
      status: 404,
      mayHaveLanded: false,
    }),
  );
}
