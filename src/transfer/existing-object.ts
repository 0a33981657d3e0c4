/**
 * Whose object it is that a conditional write found at its key.
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { CopyContext, CopyState } from './copy-context.ts';
import { at } from './transfer-error.ts';

/**
 * The destination has the key. Unless a write of ours may have landed before, someone else's object is
 * there; else its length and ETag tell whose it is.
 */
export async function resolveExisting(
  key: ObjectKey,
  { destination, counters }: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  const ours = state.mayHaveLanded;
  if (ours === undefined) return { kind: 'skipped-upload', key, detail: 'exists' };
  const there = await at('destination', destination.head(key));
  const same =
    there.bytes === ours.bytes &&
    (ours.etag === undefined || there.etag.toLowerCase() === ours.etag);
  if (!same) return { kind: 'skipped-upload', key, detail: 'exists' };
  counters.uploadedBytes += ours.uncountedBytes;
  return {
    kind: 'copied',
    key,
    bytes: there.bytes,
    etag: there.etag,
    detail: 'found after a lost answer',
  };
}
