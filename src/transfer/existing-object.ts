/**
 * Whose object it is that is at a key of the destination: one of ours whose answer was lost, or someone
 * else's.
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError } from '../s3/object-store.ts';
import type { CopyContext, CopyState } from './copy-context.ts';
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
    return outcomeOfExisting(key, await context.destination.head(key), context, state);
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

/** What it means that this object is there. */
export function outcomeOfExisting(
  key: ObjectKey,
  there: ObjectHead,
  { counters }: CopyContext,
  { mayHaveLanded: ours }: CopyState,
): Outcome {
  if (ours?.bytes !== there.bytes || ours.etag !== there.etag.toLowerCase()) {
    return { kind: 'skipped-upload', key, detail: 'exists' };
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
