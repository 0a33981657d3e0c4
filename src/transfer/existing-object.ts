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
 * A conditional write has found the key taken. Unless a write of ours may have landed before, someone
 * else's object is there; else a HEAD tells.
 */
export async function resolveExisting(
  key: ObjectKey,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  if (state.mayHaveLanded === undefined) return { kind: 'skipped-upload', key, detail: 'exists' };
  const there = await at('destination', context.destination.head(key)).catch((error: unknown) => {
    throw error instanceof TransferError && error.kind === 'not-found' ? vanished() : error;
  });
  return outcomeOf(key, there, context, state);
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
    return outcomeOf(key, await context.destination.head(key), context, state);
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

function outcomeOf(
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

/** Deleted between the write that found it and the HEAD: the key is free again. */
function vanished(): TransferError {
  return new TransferError(
    'destination',
    new StoreError('the object that was there is gone again', {
      kind: 'conflict',
      code: 'vanished',
      status: 404,
      mayHaveLanded: false,
    }),
  );
}
